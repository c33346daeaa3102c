package systemgemma

import (
	"math"
	"testing"
	"time"
)

// The two rates of conversations whose passes take known times: three prompts, one after the other, then tokens of all.
func TestTally(t *testing.T) {
	now := time.Unix(0, 0)
	const enough = 4
	x := newTally(func() time.Time { return now }, 3, enough)
	pass := func(took time.Duration, chats ...int) {
		now = now.Add(took)
		for _, i := range chats {
			x.token(i)
			now = now.Add(time.Microsecond) // of telling it
		}
	}
	pass(10*time.Second, 0)
	pass(11*time.Second, 0, 1)
	pass(12*time.Second, 0, 1, 2) // all have begun: 33 s and some microseconds
	for range 3 {
		pass(2*time.Second, 0, 1, 2) // after the first two the last one has 3 of 4, after all three 4
	}
	pass(2*time.Second, 0, 1, 2)
	if _, _, err := newTally(time.Now, 1, 1).rates(); err == nil {
		t.Error("without a token: want an error")
	}
	for x.tokens[2] < enough+3 {
		var running []int
		for i, n := range x.tokens {
			if n < enough+3 {
				running = append(running, i)
			}
		}
		pass(time.Hour, running...) // the first pass of these is the last of conversation 1, or later: counted in neither rate
	}
	whole, decode, err := x.rates()
	// Until all have 4 tokens: 6, 5 and 4 of them, in 33 + 3*2 s. From all first ones to the end of conversation 0: four passes of 2 s, of 3 tokens each.
	if err != nil || math.Abs(whole-15/39.0) > 1e-4 || math.Abs(decode-12/8.0) > 1e-4 {
		t.Errorf("whole %v, decode %v, %v; want %v and %v", whole, decode, err, 15/39.0, 12/8.0)
	}
}
