package pieces

import "github.com/systemgemma/systemgemma"

// Progress is how far a prompt is computed, in the names of llama.cpp: prompt_progress of a piece of a stream.
type Progress struct {
	Total     int   `json:"total"`
	Cache     int   `json:"cache"`     // of total, known from earlier requests
	Processed int   `json:"processed"` // of total, cache included
	TimeMS    int64 `json:"time_ms"`   // since the first of it was computed
	Index     int   `json:"index,omitempty"`
}

// ProgressOf is p. index is the first answer to the prompt, where there are several.
func ProgressOf(p *systemgemma.PromptProgress, index int) *Progress {
	return &Progress{p.Total, p.Cached, p.Done, p.Took.Milliseconds(), index}
}
