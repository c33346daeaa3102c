package guard

// TB is what this package needs of a *testing.T, *testing.B or *rapid.T.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}
