import { expect, test } from 'vitest'
import { Problem } from './client'
import { restarts, untilLoaded } from './restart'

const view = { tried: '', got: '', help: '', fields: [] }
const now = () => Promise.resolve()

test('what a server that restarts answers is tried again', () => {
  expect([0, 503, 404, 401, 500].map((status) => restarts(new Problem(status, view)))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ])
  expect(restarts(new Error('of our own'))).toBe(false)
})

test('code is loaded once the server is back', async () => {
  let tries = 0
  const load = () => (++tries < 3 ? Promise.reject(new Error('no answer')) : Promise.resolve('the page'))
  expect(await untilLoaded(load, () => Promise.resolve(false), now)).toBe('the page')
  expect(tries).toBe(3)
})

test('code of another version is not waited for', async () => {
  const load = () => Promise.reject(new Error('not found'))
  await expect(untilLoaded(load, () => Promise.resolve(true), now)).rejects.toThrow('not found')
})
