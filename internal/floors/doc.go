// Package floors is a test of the whole module: imports go down the floors of docs/design.md only, and no file names a path
// that exists on one machine only. It has no code of its own and nobody imports it.
package floors
