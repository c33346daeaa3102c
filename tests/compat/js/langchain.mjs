import { ChatOllama } from '@langchain/ollama'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { z } from 'zod'
import { assert, base, pirate, question, run } from './check.mjs'

const messages = [['system', pirate], ['human', question]]
const openai = new ChatOpenAI({ model: 'mini', apiKey: 'none', temperature: 0, maxTokens: 48, maxRetries: 0, configuration: { baseURL: `${base}/v1` } })
const ollama = new ChatOllama({ model: 'mini', baseUrl: base, temperature: 0, numPredict: 48, maxRetries: 0 })

await run({
  async openai() {
    const whole = await openai.invoke(messages)
    assert.match(whole.content, /Paris/)
    let text = ''
    for await (const part of await openai.stream(messages)) text += part.content
    assert.equal(text, whole.content)
    assert.equal((await openai.batch([messages, messages])).length, 2)
  },
  async structured() {
    const model = new ChatOpenAI({ model: 'mini', apiKey: 'none', temperature: 0, maxTokens: 300, maxRetries: 0, configuration: { baseURL: `${base}/v1` } })
    const r = await model.withStructuredOutput(z.object({ city: z.string().max(12) }), { method: 'jsonSchema', name: 'answer' }).invoke(messages)
    assert.equal(typeof r.city, 'string')
  },
  async embeddings() {
    const e = new OpenAIEmbeddings({ model: 'mini', apiKey: 'none', maxRetries: 0, configuration: { baseURL: `${base}/v1` } })
    assert.equal((await e.embedDocuments(['a', 'b'])).length, 2)
  },
  async ollama() {
    const whole = await ollama.invoke(messages)
    assert.match(whole.content, /Paris/)
    let text = ''
    for await (const part of await ollama.stream(messages)) text += part.content
    assert.equal(text, whole.content)
  },
})
