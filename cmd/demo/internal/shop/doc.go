// Package shop is a small shop on Sluicegate, as a service would use it: an HTTP
// API that commits each order together with its message, once for each
// Idempotency-Key, and four services that act on messages, once each.
//
//	POST /orders ──▶ orders + orders.placed ──▶ payment ──▶ orders.paid ──▶ stock
//	                                                                    ├─▶ points
//	                                                                    └─▶ shipping
//
// What others are told or asked is written in the same transactions (Partners):
// payment tells a merchant, shipping asks a courier, whose result comes back as a
// message and is noted in the table parcels. PUT /products/{sku} writes a price and
// marks the product's page (Pages).
//
// Each service appends to the table ledger in the transaction of its effect. The
// table has no unique key, so that an effect that happens twice shows.
package shop
