package gemma2

// Probe shows intermediate results to tests outside the package: called with a name, the layer and its rows.
func (m *Model) Probe(f func(name string, layer int, row func(t int) []float32, n int)) {
	m.probe = func(name string, layer int, r rows, n int) { f(name, layer, r.row, n) }
}
