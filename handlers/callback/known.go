package callback

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
)

// known remembers the numbers that were submitted here, whether their transactions
// have committed or not: what it has not is not therefore unknown, and what it
// has may have been rolled back.
type known struct{ numbers *lru.Cache[string, struct{}] }

func newKnown(size int) (*known, error) {
	numbers, err := lru.New[string, struct{}](size)
	if err != nil {
		return nil, fmt.Errorf("Config.Known: %w", err)
	}
	return &known{numbers: numbers}, nil
}

func (k *known) add(number string)      { k.numbers.Add(number, struct{}{}) }
func (k *known) has(number string) bool { return k.numbers.Contains(number) }
