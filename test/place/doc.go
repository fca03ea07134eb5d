// Package place gives a test its place on real servers: PostgreSQL, MariaDB, or
// SQLite in a folder of the test's own, with tables that nobody else uses.
//
// A server is found by its variable, such as POSTGRES_URL or MYSQL_URL; a test
// whose variable is not set is skipped and says so. All that is opened here
// belongs to the test that it was opened for, and is dropped and closed at its
// end:
//
//	func TestOrders(t *testing.T) {
//		place.Each(t, func(t *testing.T, db *place.Database) { // on both servers
//			s, err := schedule.New(db.DB, schedule.Config{Prefix: db.Prefix})
//			place.Must(t, err)
//			…
//		})
//	}
//
// What a topic has of its own, such as further tables or a connection through a
// proxy, its folder adds on top.
package place
