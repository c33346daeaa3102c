package names

import (
	"maps"
	"slices"
	"strings"
)

// Short is a name of the table below.
type Short struct {
	Repo     string // on the hub
	Template string // mode of the chat template, where it is not the model's own
	// Parameters and the size in bytes of the published safetensors, both computed from the shapes in the configuration
	// (bfloat16, two bytes each); what a hub really holds comes from its listing.
	Parameters, Bytes int64
}

// short is the table of short names: the one place that knows them.
var short = map[string]Short{
	"2b":           {Repo: "google/gemma-2-2b-it", Parameters: 2_614_341_888, Bytes: 5_228_683_776},
	"2b-pt":        {Repo: "google/gemma-2-2b", Parameters: 2_614_341_888, Bytes: 5_228_683_776},
	"9b":           {Repo: "google/gemma-2-9b-it", Parameters: 9_241_705_984, Bytes: 18_483_411_968},
	"9b-pt":        {Repo: "google/gemma-2-9b", Parameters: 9_241_705_984, Bytes: 18_483_411_968},
	"27b":          {Repo: "google/gemma-2-27b-it", Parameters: 27_227_128_320, Bytes: 54_454_256_640},
	"27b-pt":       {Repo: "google/gemma-2-27b", Parameters: 27_227_128_320, Bytes: 54_454_256_640},
	"systemgemma2": {Repo: "google/gemma-2-2b-it", Template: "systemgemma2", Parameters: 2_614_341_888, Bytes: 5_228_683_776},
}

// Lookup returns a short name's row.
func Lookup(name string) (Short, bool) {
	s, ok := short[name]
	return s, ok
}

// ShortNames lists the short names for a message.
func ShortNames() string { return strings.Join(slices.Sorted(maps.Keys(short)), ", ") }
