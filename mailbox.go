package systemgemma

import (
	"iter"
	"sync"
)

// mailbox carries events from the engine, which must not wait, to whoever reads an answer. It holds at most the answer.
type mailbox struct {
	mu   sync.Mutex
	list []Event
	news chan struct{} // one token: list is not empty
}

func newMailbox() mailbox { return mailbox{news: make(chan struct{}, 1)} }

func (b *mailbox) put(e Event) {
	b.mu.Lock()
	b.list = append(b.list, e)
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
}

func (b *mailbox) takeAll() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.list
	b.list = nil
	return list
}

// until gives events as they come, those put before done was closed included.
func (b *mailbox) until(done <-chan struct{}) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for over := false; !over; {
			select {
			case <-b.news:
			case <-done:
				over = true
			}
			for _, e := range b.takeAll() {
				if !yield(e) {
					return
				}
			}
		}
	}
}
