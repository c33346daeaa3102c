import OpenAI from 'openai'
import { assert, base, chat, question, run } from './check.mjs'

const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'none', maxRetries: 0 })
const request = { model: 'mini', messages: chat, temperature: 0, max_tokens: 48 }

await run({
  async chat() {
    const r = await client.chat.completions.create(request)
    assert.match(r.choices[0].message.content, /Paris/)
    assert.equal(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens)
  },
  async stream() {
    const whole = await client.chat.completions.create(request)
    let text = '', usage = null
    for await (const part of await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
      text += part.choices[0]?.delta?.content ?? ''
      usage = part.usage ?? usage
    }
    assert.equal(text, whole.choices[0].message.content)
    assert.deepEqual(usage.total_tokens, whole.usage.total_tokens)
  },
  async completions() {
    const r = await client.completions.create({ model: 'mini', prompt: question, max_tokens: 8, temperature: 0, logprobs: 2, echo: true })
    const l = r.choices[0].logprobs
    assert.ok(r.choices[0].text.startsWith(question))
    assert.equal(l.tokens.length, l.token_logprobs.length)
    assert.equal(l.token_logprobs[0], null)
    assert.ok(l.token_logprobs.slice(1).every(x => x <= 0))
  },
  async schema() {
    const schema = { type: 'object', properties: { city: { type: 'string', maxLength: 12 } }, required: ['city'], additionalProperties: false }
    const r = await client.chat.completions.create({ ...request, max_tokens: 200, response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } } })
    assert.equal(typeof JSON.parse(r.choices[0].message.content).city, 'string')
    const o = await client.chat.completions.create({ ...request, max_tokens: 400, response_format: { type: 'json_object' } })
    if (o.choices[0].finish_reason === 'stop') assert.equal(typeof JSON.parse(o.choices[0].message.content), 'object')
  },
  async tools() {
    const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { city: { enum: ['Paris', 'Rome'] } }, required: ['city'] } } }]
    const r = await client.chat.completions.create({ ...request, max_tokens: 200, tools, tool_choice: { type: 'function', function: { name: 'weather' } } })
    const call = r.choices[0].message.tool_calls[0]
    assert.equal(call.function.name, 'weather')
    assert.ok(['Paris', 'Rome'].includes(JSON.parse(call.function.arguments).city))
  },
  async embeddings() { // asks for base64 by itself
    const r = await client.embeddings.create({ model: 'mini', input: ['a cat', 'the sea'] })
    assert.equal(r.data.length, 2)
    const norm = Math.hypot(...r.data[0].embedding)
    assert.ok(Math.abs(norm - 1) < 1e-3, `norm ${norm}`)
    const f = await client.embeddings.create({ model: 'mini', input: 'a cat', encoding_format: 'float' })
    assert.ok(Math.abs(f.data[0].embedding[0] - r.data[0].embedding[0]) < 1e-6)
  },
  async models() {
    const list = await client.models.list()
    assert.ok(list.data.length > 0)
    assert.equal((await client.models.retrieve(list.data[0].id)).id, list.data[0].id)
  },
  async responses() {
    const r = await client.responses.create({ model: 'mini', instructions: chat[0].content, input: question, temperature: 0 })
    assert.match(r.output_text, /Paris/)
    let text = ''
    for await (const e of await client.responses.create({ model: 'mini', instructions: chat[0].content, input: question, temperature: 0, stream: true })) {
      if (e.type === 'response.output_text.delta') text += e.delta
    }
    assert.equal(text, r.output_text)
  },
  async errors() {
    await assert.rejects(client.chat.completions.create({ ...request, model: 'no-such-model' }), e => e.status === 404 && !!e.message)
    await assert.rejects(client.chat.completions.create({ ...request, temperature: -1 }), e => e.status === 400)
  },
  async cancel() {
    const stop = new AbortController()
    const stream = await client.chat.completions.create({ ...request, max_tokens: 1500, ignore_eos: true, stream: true }, { signal: stop.signal })
    for await (const _ of stream) { stop.abort(); break }
  },
})
