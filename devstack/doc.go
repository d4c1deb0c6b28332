// Package devstack runs a whole Temporal service (frontend, history, matching,
// worker and the Web UI) in one process, on a Postgres that somebody else
// started. It is what `holdfast dev` and the end-to-end tests stand on; a
// production installation uses a Temporal cluster or Temporal Cloud instead.
//
// It lives in a module of its own so that the product's binary and go.mod stay
// free of the server's dependencies.
package devstack
