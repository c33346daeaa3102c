import { Ollama } from 'ollama'
import { assert, base, chat, question, run } from './check.mjs'

const client = new Ollama({ host: base })
const options = { temperature: 0, num_predict: 48 }

await run({
  async chat() {
    const r = await client.chat({ model: 'mini', messages: chat, options })
    assert.match(r.message.content, /Paris/)
    assert.equal(r.done_reason, 'stop')
    let text = ''
    for await (const part of await client.chat({ model: 'mini', messages: chat, options, stream: true })) text += part.message.content
    assert.equal(text, r.message.content)
  },
  async generate() {
    const r = await client.generate({ model: 'mini', prompt: question, options })
    assert.match(r.response, /Paris/)
  },
  async format() {
    const format = { type: 'object', properties: { city: { type: 'string', maxLength: 12 } }, required: ['city'] }
    const r = await client.chat({ model: 'mini', messages: chat, options: { temperature: 0, num_predict: 200 }, format })
    assert.equal(typeof JSON.parse(r.message.content).city, 'string')
  },
  async models() {
    const list = await client.list()
    assert.ok(list.models.some(m => m.name === 'mini:latest'))
    assert.ok(list.models.every(m => m.details.family && m.details.parameter_size))
    assert.ok((await client.show({ model: 'mini' })).capabilities.includes('completion'))
    assert.ok((await client.ps()).models.length >= 1)
  },
  async embed() {
    const r = await client.embed({ model: 'mini', input: ['a', 'b'] })
    assert.equal(r.embeddings.length, 2)
  },
  async abort() {
    const stream = await client.generate({ model: 'mini', prompt: 'Tell me a story.', options: { num_predict: 1500 }, stream: true })
    await assert.rejects(async () => { for await (const _ of stream) stream.abort() }, { name: 'AbortError' })
  },
  async errors() {
    await assert.rejects(client.chat({ model: 'no-such-model', messages: chat }), /not found/)
  },
})
