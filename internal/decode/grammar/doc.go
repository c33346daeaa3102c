// Package grammar constrains what a model says: to JSON that satisfies a schema, to any JSON object, to a regular expression, to one
// of some choices, to a grammar in llama.cpp's form.
//
// It owns the way from these sources to masks: which tokens of a vocabulary may come next. All sources become one form, terms (see
// [arena] and its kinds): expressions over bytes with alternatives, intersections, counted repetitions and recursive rules. The
// states of a text are terms too, found as texts reach them by taking the derivative by a byte, and cached with their masks. So
// nothing is expanded in advance: a length up to a million costs as much as one up to three.
//
// What a [Matcher] lets through is always a beginning of a text of the grammar. With the number of tokens that are left it lets
// through only what can be completed with them ([Matcher.Mask]); too small a number can be told before ([Matcher.Need]).
//
// Sources may come from untrusted requests. Each parser and each cache is bounded (the limits stand in grammar.go); a source beyond
// a limit, or with something that isn't supported, is an [Error] that says what and where. Never is a part of a source ignored that
// limits texts.
//
// It must not know what a tokenizer, a model or a sampler is: a [Vocabulary] is the bytes of tokens.
package grammar
