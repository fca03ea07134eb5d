package amqp

import "context"

// takePublisher returns one whose connection is open, as far as is known.
func (d *driver) takePublisher(ctx context.Context) (*publisher, error) {
	for {
		d.mu.Lock()
		n := len(d.idle)
		if n == 0 {
			d.mu.Unlock()
			return d.newPublisher(ctx)
		}
		p := d.idle[n-1]
		d.idle = d.idle[:n-1]
		d.mu.Unlock()
		if !p.ch.IsClosed() && !p.link.IsClosed() {
			clear(p.returned)
			return p, nil
		}
		d.retire(p)
	}
}

func (d *driver) giveBack(p *publisher, whole bool) {
	d.mu.Lock()
	keep := whole && !d.closed
	if keep {
		d.idle = append(d.idle, p)
	}
	d.mu.Unlock()
	if !keep {
		d.retire(p)
	}
}

// retire cuts a publisher's connection and waits for its end in the background.
func (d *driver) retire(p *publisher) {
	p.link.cut()
	d.wg.Go(p.link.leave)
}
