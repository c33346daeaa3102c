// Package watermark marks sampled text so that it can be recognised later: SynthID-Text's tournament sampling without
// distortion (S. Dathathri and others, "Scalable watermarking for identifying large language model outputs", Nature 634, 2024),
// with the table, hashes and history of Hugging Face transformers' SynthIDTextWatermarkLogitsProcessor, so that either's
// texts are recognised by the other.
//
// Each key gives every token, after the few tokens before it, a bit g that looks random. A step of the tournament multiplies
// each token's probability by 1 + g - mean(g): over all bits it changes nothing, but the token drawn has g = 1 more often than
// half the time. Who knows the keys computes the bits of a text's tokens and sees that (Detect).
//
// It must not know how scores come about or tokens are drawn.
package watermark
