package sqltable_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

func ExampleTables_At() {
	for _, d := range []sqldialect.Dialect{sqldialect.PostgreSQL, sqldialect.MySQL, sqldialect.SQLite} {
		t := sqltable.New(nil, d, sqldialect.Names{}, nil, map[string]string{"call": "call"})
		fmt.Println(t.At("UPDATE {call} SET at = {now} + {number} WHERE id = ?"))
	}
	// Output:
	// UPDATE "sluicegate_call" SET at = (extract(epoch from statement_timestamp()) * 1000000)::bigint + CAST($1 AS BIGINT) WHERE id = $2
	// UPDATE `sluicegate_call` SET at = CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED) + CAST(? AS SIGNED) WHERE id = ?
	// UPDATE "sluicegate_call" SET at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) + CAST(? AS BIGINT) WHERE id = ?
}
