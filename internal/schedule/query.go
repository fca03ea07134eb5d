package schedule

import (
	"strings"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// queries are the statements, with {now} for the clock and ? for values.
type queries struct {
	table string

	touchHead, touchKey, insert string
	finish, finishHead, again   string
	promote, extend, release    string
	due, targets, dueOfTarget   string
	next, nextOfTarget          string
	take, lock, leased          string
	runNow, replace, prune      string
	get, find, pending          string
}

// columns are those of a Task, in the order in which scan reads them.
const columns = "id, queue, target, task_key, task_group, status, payload, state, error, attempts, fence, " +
	"due_at, claim_at, created_at, updated_at, finished_at"

func newQueries(d sqldialect.Dialect, table, plain string) queries {
	var (
		update = "UPDATE " + table + " SET "
		mine   = " WHERE id = ? AND fence = ?"
		over   = "status = ?, attempts = ?, state = " + keep(d) + ", error = ?, fence = fence + 1, claim_at = NULL, " +
			"unique_hash = NULL, group_hash = NULL, group_head = NULL, updated_at = {now}, finished_at = {now}"
	)
	q := queries{
		table:     table,
		touchHead: update + "touched = touched + 1 WHERE group_head = ?",
		touchKey:  update + "touched = touched + 1 WHERE unique_hash = ?",
		insert: "INSERT INTO " + table + " (queue, target, task_key, task_group, status, payload, state, error, attempts, " +
			"due_at, claim_at, unique_hash, group_hash, group_head, created_at, updated_at) " +
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, %s, %s, ?, ?, ?, {now}, {now})",
		again: update + "due_at = {now} + " + number(d) + ", claim_at = {now} + " + number(d) + ", attempts = ?, state = " + keep(d) +
			", error = ?, fence = fence + 1, updated_at = {now}" + mine,
		finish:     update + over + mine + " AND LENGTH(group_head) IS NULL",
		finishHead: update + over + mine + " AND LENGTH(group_head) > 0",
		extend:     update + "claim_at = {now} + " + number(d) + ", touched = touched + 1" + mine,
		release:    update + "claim_at = due_at, fence = fence + 1" + mine,
		runNow: update + "due_at = {now}, claim_at = {now}, touched = touched + 1, updated_at = {now}" + mine +
			" AND status = 'waiting' AND (claim_at = due_at OR claim_at <= {now})",
		replace: update + "payload = ?, state = ?, error = ?, attempts = ?, due_at = %s, claim_at = %s, fence = fence + 1, " +
			"updated_at = {now}" + mine + " AND status = 'waiting'",
		get:     "SELECT " + columns + ", {now} FROM " + table + " WHERE id = ?",
		find:    "SELECT " + columns + ", {now} FROM " + table + " WHERE unique_hash = ?",
		pending: "SELECT 1 FROM " + table + " WHERE group_hash = ? LIMIT 1",
	}
	// LENGTH keeps MySQL from looking for the row along the index of heads.
	if d != sqldialect.MySQL {
		q.insert += " ON CONFLICT DO NOTHING"
	}
	index := func(string) string { return "" }
	if d == sqldialect.MySQL {
		// Its optimizer may prefer to scan and sort, and locks what it scans.
		index = func(name string) string { return " FORCE INDEX (`" + plain + "_" + name + "`)" }
	}
	q.prune = pruneQuery(d, table, index)
	q.promotion(d, table)
	q.claiming(d, table, index)
	return q
}

// promotion makes the first of the unfinished of a group its head. MySQL assigns
// from left to right, so what reads a column comes before what sets it.
func (q *queries) promotion(d sqldialect.Dialect, table string) {
	later := "CASE WHEN due_at > {now} THEN due_at ELSE {now} END"
	set := "UPDATE " + table + " SET claim_at = CASE WHEN status = 'held' THEN " + later + " ELSE claim_at END, " +
		"due_at = CASE WHEN status = 'held' THEN " + later + " ELSE due_at END, status = 'waiting', group_head = group_hash, updated_at = {now} "
	first := "(SELECT id FROM " + table + " WHERE group_hash = ? ORDER BY id LIMIT 1"
	switch d {
	case sqldialect.PostgreSQL:
		// A row that is being finished is waited for, and then passed over.
		q.promote = set + "WHERE id = " + first + " FOR UPDATE)"
	case sqldialect.MySQL:
		// With all columns of the index in the order, MariaDB reads along it and
		// neither sorts nor locks the whole group.
		q.promote = set + "WHERE group_hash = ? ORDER BY group_hash, id LIMIT 1"
	default:
		q.promote = set + "WHERE id = " + first + ")"
	}
}

// claiming are the statements of Claim: which tasks are due, and taking some.
func (q *queries) claiming(d sqldialect.Dialect, table string, index func(string) string) {
	some := "SELECT id, target, claim_at FROM " + table
	first := " ORDER BY claim_at, id LIMIT ?"
	q.due = some + index("claim") + " WHERE queue = ? AND claim_at <= {now}" + first
	q.dueOfTarget = "SELECT id, target, claim_at FROM (" + some + index("target") +
		" WHERE queue = ? AND target = ? AND claim_at <= {now}" + first + ") AS t%d"
	q.next = "SELECT MIN(claim_at) AS first FROM " + table + " WHERE queue = ? AND claim_at > {now} - " + number(d)
	q.nextOfTarget = "SELECT MIN(claim_at) AS first FROM " + table + " WHERE queue = ? AND target = ? AND claim_at > {now} - " + number(d)
	next := "SELECT n.target FROM " + table + " AS n WHERE n.queue = ? AND n.claim_at IS NOT NULL"
	oldest := "(SELECT MIN(m.claim_at) FROM " + table + " AS m WHERE m.queue = ? AND m.target = t.target AND m.claim_at IS NOT NULL)"
	// One step along the index for each target, however many tasks it has.
	q.targets = "WITH RECURSIVE t(target) AS (SELECT * FROM (" + next + " ORDER BY n.target LIMIT 1) AS f UNION ALL SELECT (" + next +
		" AND n.target > t.target ORDER BY n.target LIMIT 1) FROM t WHERE t.target IS NOT NULL) " +
		"SELECT o.target, o.oldest FROM (SELECT t.target, " + oldest + " AS oldest FROM t WHERE t.target IS NOT NULL) AS o WHERE o.oldest <= {now}"
	lease := "fence = fence + 1, claim_at = {now} + " + number(d)
	switch d {
	case sqldialect.PostgreSQL:
		q.take = "WITH c AS MATERIALIZED (SELECT id AS free FROM " + table +
			" WHERE id = ANY(CAST(CAST(? AS TEXT) AS BIGINT[])) AND claim_at <= {now} FOR UPDATE SKIP LOCKED) " +
			"UPDATE " + table + " SET " + lease + " FROM c WHERE id = c.free RETURNING " + columns + ", {now}"
	case sqldialect.MySQL:
		// Grouped by all columns of the index up to that one, it is read in one step a target too.
		q.targets = "SELECT target, oldest FROM (SELECT queue, target, MIN(claim_at) AS oldest FROM " + table + index("target") +
			" WHERE queue = ? GROUP BY queue, target) AS t WHERE oldest <= {now}"
		q.lock = "SELECT " + columns + ", {now} FROM " + table + " WHERE id IN (%s) AND claim_at <= {now} FOR UPDATE SKIP LOCKED"
		q.leased = "UPDATE " + table + " SET " + lease + " WHERE id IN (%s)"
	default:
		q.take = "UPDATE " + table + " SET " + lease +
			" WHERE id IN (SELECT value FROM json_each(?)) AND claim_at <= {now} RETURNING " + columns + ", {now}"
	}
}

// number is a parameter that is added to a time.
func number(d sqldialect.Dialect) string {
	if d == sqldialect.MySQL {
		return "CAST(? AS SIGNED)"
	}
	return "CAST(? AS BIGINT)"
}

// keep is a parameter for the state, in whose place NULL keeps what is there.
func keep(d sqldialect.Dialect) string {
	switch d {
	case sqldialect.PostgreSQL:
		return "COALESCE(CAST(? AS BYTEA), state)"
	default:
		return "COALESCE(?, state)"
	}
}

// due is the time at which a task is due, by one parameter: so long from now, or
// at that time.
func due(d sqldialect.Dialect, relative, nothing bool) string {
	switch {
	case nothing:
		return "NULL"
	case relative:
		return "{now} + " + number(d)
	}
	return number(d)
}

// union puts n queries together that answer alike.
func union(query func(i int) string, n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = query(i)
	}
	return strings.Join(parts, " UNION ALL ")
}
