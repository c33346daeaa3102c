package jinja

// filters by name; the parameters are those behind the filtered value.
var filters map[string]builtin

// tests by name, likewise.
var tests map[string]builtin

// The tables are filled here because map, select and the like look filters and tests up themselves.
func init() {
	filters = table([]entry{
		{"trim", "[chars]", filterTrim},
		{"upper", "", func(a *arguments) value { return a.r.upper(a.selfText()) }},
		{"lower", "", func(a *arguments) value { return a.r.lower(a.selfText()) }},
		{"capitalize", "", func(a *arguments) value { return a.r.capitalize(a.selfText()) }},
		{"title", "", func(a *arguments) value { return a.r.titleFilter(a.selfText()) }},
		{"string", "", func(a *arguments) value { return a.selfText() }},
		{"safe", "", func(a *arguments) value { return a.selfText() }},
		{"escape e", "", filterEscape},
		{"replace", "old new [count]", filterReplace},
		{"indent", "[width] [first] [blank]", filterIndent},
		{"truncate", "[length] [killwords] [end] [leeway]", filterTruncate},
		{"wordcount", "", filterWordcount},
		{"format", "...", filterFormat},
		{"tojson", "[ensure_ascii] [indent] [separators] [sort_keys]", filterTojson},

		{"abs", "", filterAbs},
		{"int", "[default] [base]", filterInt},
		{"float", "[default]", filterFloat},
		{"round", "[precision] [method]", filterRound},

		{"default d", "[default_value] [boolean]", filterDefault},
		{"attr", "name", filterAttr},
		{"length count", "", filterLength},
		{"first", "", filterFirst},
		{"last", "", filterLast},
		{"list", "", func(a *arguments) value { return a.r.list(append([]value(nil), a.r.iterate(a.self)...)) }},
		{"join", "[d] [attribute]", filterJoin},
		{"reverse", "", filterReverse},
		{"sort", "[reverse] [case_sensitive] [attribute]", filterSort},
		{"unique", "[case_sensitive] [attribute]", filterUnique},
		{"min", "[case_sensitive] [attribute]", func(a *arguments) value { return extreme(a, -1) }},
		{"max", "[case_sensitive] [attribute]", func(a *arguments) value { return extreme(a, 1) }},
		{"sum", "[attribute] [start]", filterSum},
		{"batch", "linecount [fill_with]", filterBatch},
		{"slice", "slices [fill_with]", filterSlice},
		{"groupby", "attribute [default] [case_sensitive]", filterGroupby},
		{"items", "", filterItems},
		{"dictsort", "[case_sensitive] [by] [reverse]", filterDictsort},
		{"map", "...", filterMap},
		{"select", "...", func(a *arguments) value { return choose(a, true, false) }},
		{"reject", "...", func(a *arguments) value { return choose(a, false, false) }},
		{"selectattr", "...", func(a *arguments) value { return choose(a, true, true) }},
		{"rejectattr", "...", func(a *arguments) value { return choose(a, false, true) }},
	})
	tests = table(testEntries)
}

// entry is a line of a table of builtins: names with spaces between, parameters, and the function.
type entry struct {
	names, params string
	call          func(a *arguments) value
}
