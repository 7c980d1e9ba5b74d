import { expect, test } from 'vitest'
import { ago, author, branch, brief, count, duration, tag } from './words'

test('durations name their units', () => {
  expect([450, 12_300, 60_000, 185_000, 7_800_000, 356_400_000].map(duration)).toEqual([
    '450 ms',
    '12 s',
    '1 min',
    '3 min 5 s',
    '2 h 10 min',
    '4 d 3 h',
  ])
})

test('moments are told from now', () => {
  expect(ago(1000, 1500)).toBe('now')
  expect(ago(0, 12_000)).toBe('12 seconds ago')
  expect(ago(200_000, 0)).toBe('in 3 minutes')
})

test('images are known by their tag', () => {
  expect(tag('localhost:5000/petclinic-was:v56-4be1d07')).toBe('v56-4be1d07')
  expect(tag('localhost:5000/petclinic-was')).toBe('petclinic-was')
  expect(tag('a/b@sha256:9f2c61d3a2b97777')).toBe('@9f2c61d3a2b9')
})

test('authors, branches and counts read as words', () => {
  expect(author('person:ann')).toBe('ann')
  expect(author('delivery:7c1f5a52-a5e1')).toBe('delivery 7c1f5a52')
  expect(author('server')).toBe('server')
  expect(branch('refs/heads/feature/x')).toBe('feature/x')
  expect(branch('refs/pull/7/head')).toBe('pull request #7')
  expect(count(1, 'push', 'pushes') + count(2, 'push', 'pushes')).toBe('1 push2 pushes')
})

test('a sentence names its images without their registry', () => {
  const host = '123456789012.dkr.ecr.ap-northeast-2.amazonaws.com'
  expect(brief(`Send all traffic back to ${host}/petclinic-was:v55-f31bdcc, then give`)).toBe(
    'Send all traffic back to petclinic-was:v55-f31bdcc, then give',
  )
  expect(brief('localhost:5000/a/b@sha256:9f2c61d3a2b97777 serves everything')).toBe(
    'a/b@sha256:9f2c61d3a2b9 serves everything',
  )
  for (const same of ['see https://example.org/a/b.', 'not in spec.replicas/x', '10.0.0.1:80 refused']) {
    expect(brief(same)).toBe(same)
  }
})
