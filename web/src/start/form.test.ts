import { expect, test } from 'vitest'
import type { FieldView, InputView, StartableRepository } from '../api/types'
import { choices, given, initial, keyed, wrong } from './form'

const input = (name: string, kind: InputView['kind'], value: unknown): InputView => ({
  name,
  description: '',
  kind,
  options: kind === 'choice' ? ['staging', 'production'] : [],
  required: false,
  default: value,
})

const inputs = [
  input('version', 'string', 'next'),
  input('where', 'choice', null),
  input('replicas', 'number', 2),
  input('dry-run', 'boolean', true),
]

test('the fields begin with the defaults', () => {
  expect(initial(inputs)).toEqual({ version: 'next', where: '', replicas: '2', 'dry-run': true })
})

test('what nobody gave is left to its default, and an emptied text is empty', () => {
  const fields = { version: '', where: '', replicas: '', 'dry-run': false }
  expect(given(inputs, fields)).toEqual({ version: '', 'dry-run': false })
  expect(given(inputs, { ...fields, replicas: '0.5', where: 'staging' })).toEqual({
    version: '',
    where: 'staging',
    replicas: '0.5',
    'dry-run': false,
  })
})

test('a mistake stands at its field, and one without a field elsewhere', () => {
  const field = (field: string): FieldView => ({ field, message: `${field} is wrong`, help: 'write another' })
  const { at, elsewhere } = wrong([field('inputs.version'), field('repository'), field('key'), field('inputs.gone')], inputs)
  expect([...at.keys()]).toEqual(['inputs.version', 'file'])
  expect(elsewhere.map(({ field }) => field)).toEqual(['key', 'inputs.gone'])
})

test('the same start keeps its key', () => {
  const first = keyed(undefined, 'a')
  expect(first.key).toMatch(/^[0-9a-f]{32}$/)
  expect(keyed(first, 'a')).toBe(first)
  expect(keyed(first, 'b').key).not.toBe(first.key)
})

test('pipelines are chosen with their repository', () => {
  const repository = (repository: string, files: string[]): StartableRepository => ({
    repository,
    reference: 'refs/heads/main',
    sha: 'a',
    problem: null,
    pipelines: files.map((file) => ({ file, name: file, inputs: [] })),
  })
  const view = { repositories: [repository('a/b', ['x', 'y']), repository('c/d', [])] }
  const names = (there?: StartableRepository) =>
    choices(view, there).map(({ repository, pipeline }) => `${repository} ${pipeline.file} ${pipeline.inputs.length}`)
  expect(names()).toEqual(['a/b x 0', 'a/b y 0'])
  const there = repository('a/b', ['y', 'z'])
  const newer = { ...there, pipelines: there.pipelines.map((one) => ({ ...one, inputs })) }
  expect(names(newer)).toEqual(['a/b x 0', 'a/b y 4', 'a/b z 4'])
})
