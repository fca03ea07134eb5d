// Package shop is a small shop on Sluicegate, as a service would use it: an HTTP
// API that commits each order together with its message, and four services that
// act on messages, once each.
//
//	POST /orders ──▶ orders + orders.placed ──▶ payment ──▶ orders.paid ──▶ stock
//	                                                                    ├─▶ points
//	                                                                    └─▶ shipping
//
// Each service appends to the table ledger in the transaction of its effect. The
// table has no unique key, so that an effect that happens twice shows.
package shop
