// Package sqltable runs statements on tables of ours: their names and one clock
// go into the text, and errors come out with what the database meant by them.
//
// A text names tables and clock by marks, and its arguments by ?:
//
//	t := sqltable.New(db, dialect, names, nil, map[string]string{"call": schema.Call})
//	n, err := t.Exec(ctx, tx, "UPDATE {call} SET status = ?, updated_at = {now} WHERE id = ?", status, id)
//
// Every error of the database has gone through Mark. A Tables is embedded in
// what has the statements of one package, and is safe for concurrent use.
package sqltable
