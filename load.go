package systemgemma

// Load is what a model is doing now.
type Load struct {
	Running  int   // requests that are being computed
	Waiting  int   // requests that wait for a place or for memory
	KVBytes  int64 // memory of keys and values, those that ended requests left included
	KVPinned int64 // of these, what running requests need
	KVLimit  int64 // Options.KVMemory; 0: none
}

// Load says what the model is doing now.
func (m *Model) Load() Load {
	l := m.engine.Load()
	return Load{Running: l.Running, Waiting: l.Waiting, KVBytes: l.KVBytes, KVPinned: l.Pinned, KVLimit: l.KVLimit}
}
