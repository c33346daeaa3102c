// Shared by the clients' checks: where the server is, and one question for all.
import assert from 'node:assert/strict'

export { assert }
export const base = process.env.COMPAT_URL
export const pirate = 'Talk like a pirate.'
export const question = 'What is the capital of France?'
export const chat = [{ role: 'system', content: pirate }, { role: 'user', content: question }]

// run runs checks by name and ends with a failure if one fails.
export async function run(checks) {
  let failed = 0
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check()
      console.log(`ok ${name}`)
    } catch (e) {
      failed++
      console.log(`FAIL ${name}: ${e?.stack ?? e}`)
    }
  }
  process.exit(failed ? 1 : 0)
}
