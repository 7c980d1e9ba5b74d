import type { FieldView, InputView, StartablePipeline, StartableRepository, StartableView } from '../api/types'

/** A pipeline that a person can start, with where it is. */
export interface Choice {
  repository: string
  pipeline: StartablePipeline
}

const is = (one: Choice) => (other: Choice) => other.repository === one.repository && other.pipeline.file === one.pipeline.file

/** Every pipeline that can be started; those of a branch that is looked at, `there`, take the place of the default's. */
export function choices(view: StartableView, there: StartableRepository | undefined): Choice[] {
  const each = ({ repository, pipelines }: StartableRepository): Choice[] =>
    pipelines.map((pipeline) => ({ repository, pipeline }))
  const of = there === undefined ? [] : each(there)
  const here = view.repositories.flatMap(each)
  return [...here.map((one) => of.find(is(one)) ?? one), ...of.filter((one) => !here.some(is(one)))]
}

/** What the page's address names. */
export interface Named {
  repository?: string | undefined
  file?: string | undefined
  at?: string | undefined
}

/**
 * The pipeline of the form: the one that is named, never another; the first where nothing is named. The one that was shown
 * last, `kept`, stays as long as it is what is named: the list changes while a person types.
 */
export function chosen(all: Choice[], { repository, file }: Named, kept: Choice | undefined): Choice | undefined {
  const fits = (one: Choice) =>
    (repository === undefined || one.repository === repository) && (file === undefined || one.pipeline.file === file)
  return kept !== undefined && fits(kept) ? (all.find(is(kept)) ?? kept) : all.find(fits)
}

/** Why what is named, or was shown last, is not among those that can be started; none where it is, or nothing is named. */
export function absence(
  all: Choice[],
  named: Named,
  one: Choice | undefined,
  view: StartableView,
  there: StartableRepository | undefined,
): string | undefined {
  if (one === undefined ? named.repository === undefined && named.file === undefined : all.some(is(one))) return undefined
  const repository = one?.repository ?? named.repository
  const stands = there ?? view.repositories.find((other) => other.repository === repository)
  const what = one?.pipeline.file ?? named.file ?? repository ?? ''
  const unknown = repository === undefined ? 'the repository is not named' : `no hook of the configuration names ${repository}`
  const why = stands === undefined ? unknown : (stands.problem ?? 'no pipeline file of this name has on: manual there')
  return `\`${what}\` cannot be started at ${named.at ?? 'the default branch'}: ${why}`
}

/** What stands in the way in each repository; that of the branch that is looked at takes the place of the default's. */
export function problems(view: StartableView, there: StartableRepository | undefined, at: string | undefined) {
  return view.repositories.flatMap(({ repository, problem }) => {
    const isThere = there?.repository === repository
    const told = isThere ? there.problem : problem
    return told === null ? [] : [{ where: isThere && at !== undefined ? `${repository} at ${at}` : repository, problem: told }]
  })
}

/** The name of an input's field in the form; none of the form's own can be like it. */
export const fieldName = (input: string) => `inputs.${input}`

/** What the fields hold: texts as they were typed, and whether a box is checked. */
export type Fields = Record<string, string | boolean>

/** The fields before anybody has typed. */
export function initial(inputs: InputView[]): Fields {
  const first = ({ kind, default: value }: InputView) =>
    kind === 'boolean' ? value === true : value === null || value === undefined ? '' : String(value)
  return Object.fromEntries(inputs.map((input) => [input.name, first(input)]))
}

/** The inputs to be sent: a number or a choice that nobody gave is left to its default. */
export function given(inputs: InputView[], fields: Fields): Record<string, string | boolean> {
  const all = inputs.map(({ name, kind }): [string, string | boolean] => [name, fields[name] ?? (kind === 'boolean' ? false : '')])
  const isGiven = ([name, value]: [string, string | boolean]) =>
    value !== '' || inputs.some((input) => input.name === name && input.kind === 'string')
  return Object.fromEntries(all.filter(isGiven))
}

/** What is wrong with each field of the form, and what is wrong elsewhere. */
export function wrong(fields: FieldView[], inputs: InputView[]) {
  const known = new Set(['file', 'ref', ...inputs.map((input) => fieldName(input.name))])
  // The pipeline is chosen with its repository.
  const place = (field: string) => (field === 'repository' ? 'file' : field)
  const at = new Map<string, FieldView>()
  for (const field of fields) if (known.has(place(field.field)) && !at.has(place(field.field))) at.set(place(field.field), field)
  return { at, elsewhere: fields.filter((field) => !known.has(place(field.field))) }
}

/** A key for what is sent: the same as long as that is the same, so that asking again starts nothing twice. */
export function keyed(last: { body: string; key: string } | undefined, body: string) {
  if (last?.body === body) return last
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return { body, key: [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('') }
}
