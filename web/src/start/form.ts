import type { FieldView, InputView, StartablePipeline, StartableRepository, StartableView } from '../api/types'

/** A pipeline that a person can start, with where it is. */
export interface Choice {
  repository: string
  pipeline: StartablePipeline
}

/** Every pipeline that can be started; those of a branch that is looked at, `there`, take the place of the default's. */
export function choices(view: StartableView, there: StartableRepository | undefined): Choice[] {
  const each = ({ repository, pipelines }: StartableRepository): Choice[] =>
    pipelines.map((pipeline) => ({ repository, pipeline }))
  const of = there === undefined ? [] : each(there)
  const here = view.repositories.flatMap(each)
  const is = (one: Choice) => (other: Choice) => other.repository === one.repository && other.pipeline.file === one.pipeline.file
  return [...here.map((one) => of.find(is(one)) ?? one), ...of.filter((one) => !here.some(is(one)))]
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
