import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateObject, generateText, streamText } from 'ai'
import { z } from 'zod'
import { assert, base, pirate, question, run } from './check.mjs'

const make = structured => createOpenAICompatible({ name: 'systemgemma', baseURL: `${base}/v1`, includeUsage: true, supportsStructuredOutputs: structured })
const model = make(true)('mini')
const request = { model, system: pirate, prompt: question, temperature: 0, maxOutputTokens: 48, maxRetries: 0 }

await run({
  async text() {
    assert.match((await generateText(request)).text, /Paris/)
  },
  async stream() {
    const r = streamText(request)
    let text = ''
    for await (const part of r.textStream) text += part
    assert.equal(text, (await generateText(request)).text)
    assert.ok((await r.usage).totalTokens > 0)
  },
  async object() { // by json_schema
    const r = await generateObject({ ...request, maxOutputTokens: 300, schema: z.object({ city: z.string().max(12) }) })
    assert.equal(typeof r.object.city, 'string')
  },
})
