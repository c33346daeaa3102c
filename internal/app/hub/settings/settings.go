// Package settings owns what the environment says about a hub: its address, the cache, the token and where it came from,
// offline mode, time limits and proxies, with the precedence of the reference client (huggingface_hub 2.4.0).
//
// It must not know what is asked of a hub. It reads variables through a function, and one file: the token's.
package settings

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// DefaultEndpoint is the hub that is asked when nothing else is said.
const DefaultEndpoint = "https://huggingface.co"

// Settings are the values in force. Paths are not checked to exist.
type Settings struct {
	Endpoint          string // scheme://host[:port][/path] without a slash at the end
	Home, Cache       string // HF_HOME and the hub cache below it
	TokenPath         string // the token file, whether it exists or not
	Token             string // "" means none
	TokenFrom         string // "HF_TOKEN", the file's path, ...: for messages; "" without a token
	NoImplicitToken   bool   // send a token only where the caller gives one
	Offline           bool
	OfflineFrom       string        // the variable that says so
	NoXet, NoSymlinks bool          // HF_HUB_DISABLE_XET, HF_HUB_DISABLE_SYMLINKS
	HeadTimeout       time.Duration // HF_HUB_ETAG_TIMEOUT, default 10 s
	StallTimeout      time.Duration // HF_HUB_DOWNLOAD_TIMEOUT, default 10 s: silence after which a connection is given up
	AgentOrigin       string        // HF_HUB_USER_AGENT_ORIGIN
	Proxies           Proxies
}

// FromEnv reads the settings. lookup is os.LookupEnv or a test's; home is the user's home folder. An empty variable counts
// as unset. The error names a variable whose value can't be used.
func FromEnv(lookup func(string) (string, bool), home string) (Settings, error) {
	env := func(names ...string) string {
		v, _ := first(lookup, names...)
		return v
	}
	expand := func(p string) string {
		if p == "~" || strings.HasPrefix(p, "~/") {
			p = home + p[1:]
		}
		return os.Expand(p, func(v string) string { s, _ := lookup(v); return s })
	}
	s := Settings{Endpoint: DefaultEndpoint, HeadTimeout: 10 * time.Second, StallTimeout: 10 * time.Second}
	if v := strings.TrimRight(env("HF_ENDPOINT"), "/"); v != "" {
		s.Endpoint = v
	}
	cache := filepath.Join(home, ".cache")
	if v := env("XDG_CACHE_HOME"); v != "" {
		cache = v
	}
	s.Home = filepath.Join(expand(cache), "huggingface")
	if v := env("HF_HOME"); v != "" {
		s.Home = filepath.Clean(expand(v))
	}
	s.Cache = filepath.Join(s.Home, "hub")
	if v := env("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"); v != "" {
		s.Cache = filepath.Clean(expand(v))
	}
	s.TokenPath = filepath.Join(s.Home, "token")
	if v := env("HF_TOKEN_PATH"); v != "" {
		s.TokenPath = filepath.Clean(expand(v))
	}
	offline, from := first(lookup, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
	if s.Offline = truth(offline); s.Offline {
		s.OfflineFrom = from
	}
	s.NoXet = truth(env("HF_HUB_DISABLE_XET"))
	s.NoSymlinks = truth(env("HF_HUB_DISABLE_SYMLINKS"))
	s.NoImplicitToken = truth(env("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
	s.AgentOrigin = env("HF_HUB_USER_AGENT_ORIGIN")
	s.Proxies = proxies(lookup)
	for name, d := range map[string]*time.Duration{"HF_HUB_ETAG_TIMEOUT": &s.HeadTimeout, "HF_HUB_DOWNLOAD_TIMEOUT": &s.StallTimeout} {
		v := env(name)
		if v == "" {
			continue
		}
		sec, err := strconv.Atoi(v)
		if err != nil || sec <= 0 || sec > 86400 {
			return s, fmt.Errorf("%s=%s: want a whole number of seconds from 1 to 86400", name, v)
		}
		*d = time.Duration(sec) * time.Second
	}
	return s, s.readToken(lookup)
}

func first(lookup func(string) (string, bool), names ...string) (value, name string) {
	for _, n := range names {
		if v, _ := lookup(n); v != "" {
			return v, n
		}
	}
	return "", ""
}

func truth(s string) bool {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return true
	}
	return false
}

// A token is one word of visible characters: anything else could split or end the header that carries it.
var word = regexp.MustCompile(`^[\x21-\x7e]+$`)

func (s *Settings) readToken(lookup func(string) (string, bool)) error {
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		v, _ := lookup(name)
		if v = strings.TrimSpace(v); v != "" {
			s.Token, s.TokenFrom = v, name
			break
		}
	}
	if s.Token == "" {
		f, err := os.Open(s.TokenPath)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("token file: %w", err)
		}
		defer func() { _ = f.Close() }() // only read
		b, err := io.ReadAll(io.LimitReader(f, 4096))
		if err != nil {
			return fmt.Errorf("token file: %w", err)
		}
		if v := strings.TrimSpace(string(b)); v != "" {
			s.Token, s.TokenFrom = v, s.TokenPath
		}
	}
	if s.Token != "" && !word.MatchString(s.Token) {
		return fmt.Errorf("%s: a token is one word of visible ASCII characters; found spaces or other characters in it", s.TokenFrom)
	}
	return nil
}
