import { expect, test } from 'vitest'
import type { FieldView, InputView, StartableRepository } from '../api/types'
import { absence, choices, chosen, given, initial, keyed, problems, wrong, type Choice, type Named } from './form'

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

const repository = (repository: string, files: string[], problem: string | null = null): StartableRepository => ({
  repository,
  reference: 'refs/heads/main',
  sha: 'a',
  problem,
  pipelines: files.map((file) => ({ file, name: file, inputs: [] })),
})

test('the form is that of the pipeline that is named, or says why there is none', () => {
  const view = { repositories: [repository('a/b', ['x', 'y']), repository('c/d', [], 'this may be old: it does not answer')] }
  const look = (named: Named, there?: StartableRepository) => {
    const all = choices(view, there)
    const one = chosen(all, named, undefined)
    return one?.pipeline.file ?? absence(all, named, one, view, there)
  }
  expect(look({})).toBe('x')
  expect(look({ repository: 'a/b' })).toBe('x')
  expect(look({ repository: 'a/b', file: 'y' })).toBe('y')
  expect(look({ repository: 'a/b', file: 'z' })).toBe(
    '`z` cannot be started at the default branch: no pipeline file of this name has on: manual there',
  )
  expect(look({ repository: 'c/d', file: 'x' })).toBe(
    '`x` cannot be started at the default branch: this may be old: it does not answer',
  )
  expect(look({ repository: 'e/f' })).toBe('`e/f` cannot be started at the default branch: no hook of the configuration names e/f')
  const named = { repository: 'a/b', file: 'z', at: 'next' }
  expect(look(named, repository('a/b', ['z']))).toBe('z')
  expect(look(named, repository('a/b', [], '`z` has mistakes'))).toBe('`z` cannot be started at next: `z` has mistakes')
})

test('what was shown stays while the list changes', () => {
  const view = (...files: string[]) => ({ repositories: [repository('a/b', files)] })
  const all = (...files: string[]) => choices(view(...files), undefined)
  const [, y] = all('x', 'y') as [Choice, Choice]
  const shown = (named: Named, ...files: string[]) => chosen(all(...files), named, y)?.pipeline.file
  expect(shown({}, 'w', 'x', 'y')).toBe('y')
  expect(shown({ repository: 'a/b' }, 'w', 'y')).toBe('y')
  expect(shown({ repository: 'a/b', file: 'w' }, 'w', 'y')).toBe('w')
  expect(shown({ repository: 'a/b', file: 'v' }, 'w', 'y')).toBeUndefined()
  expect(shown({}, 'w')).toBe('y')
  expect(absence(all('w'), {}, y, view('w'), undefined)).toContain('`y` cannot be started at the default branch: ')
  expect(absence(all('w', 'y'), {}, y, view('w', 'y'), undefined)).toBeUndefined()
})

test('what stands in the way at a branch takes the place of the default', () => {
  const view = { repositories: [repository('a/b', [], 'old'), repository('c/d', [], 'gone'), repository('e/f', [])] }
  expect(problems(view, undefined, undefined)).toEqual([
    { where: 'a/b', problem: 'old' },
    { where: 'c/d', problem: 'gone' },
  ])
  expect(problems(view, repository('a/b', [], 'there is no branch or tag `mian`'), 'mian')[0]).toEqual({
    where: 'a/b at mian',
    problem: 'there is no branch or tag `mian`',
  })
  expect(problems(view, repository('a/b', []), 'next')).toEqual([{ where: 'c/d', problem: 'gone' }])
})

test('pipelines are chosen with their repository', () => {
  const view = { repositories: [repository('a/b', ['x', 'y']), repository('c/d', [])] }
  const names = (there?: StartableRepository) =>
    choices(view, there).map(({ repository, pipeline }) => `${repository} ${pipeline.file} ${pipeline.inputs.length}`)
  expect(names()).toEqual(['a/b x 0', 'a/b y 0'])
  const there = repository('a/b', ['y', 'z'])
  const newer = { ...there, pipelines: there.pipelines.map((one) => ({ ...one, inputs })) }
  expect(names(newer)).toEqual(['a/b x 0', 'a/b y 4', 'a/b z 4'])
})
