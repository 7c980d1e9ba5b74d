import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useEffect, useRef, useState, type ReactNode, type SubmitEvent } from 'react'
import { change, Problem } from '../api/client'
import { startableQuery } from '../api/queries'
import type { FieldView, StartableRepository, StartableView, StartedView } from '../api/types'
import { useOperator } from '../parts/acting'
import { Answered, Empty, Loading, Panel, Sha, Trouble } from '../parts/bits'
import { runParams } from '../parts/links'
import { branch } from '../parts/words'
import { Field, InputField } from '../start/Field'
import { absence, choices, chosen, fieldName, given, initial, keyed, problems, wrong, type Choice, type Fields } from '../start/form'

const route = getRouteApi('/start')

/** Starts a pipeline by hand. Its type is written out, since the router's own depends on it. */
export default function Start(): ReactNode {
  const { repository, at } = route.useSearch()
  const query = useQuery(startableQuery(undefined, undefined))
  // What another branch has comes on top, so that the form stays while it is asked for.
  const elsewhere = useQuery({ ...startableQuery(repository, at), enabled: repository !== undefined && at !== undefined })
  const there = at === undefined ? undefined : elsewhere.data?.repositories.find((one) => one.repository === repository)
  const looks = at !== undefined && elsewhere.isFetching && (elsewhere.data === undefined || elsewhere.isPlaceholderData)
  return (
    <>
      <title>Start a run · Bespin</title>
      <h1>Start a run</h1>
      {at !== undefined && elsewhere.isError && <Trouble error={elsewhere.error} />}
      <Answered query={query} what="what can be started">
        {(view) => <Chosen view={view} there={there} looks={looks} />}
      </Answered>
    </>
  )
}

/** The pipeline that is named, or the first; `looks` while the branch that is named is asked for. */
function Chosen({ view, there, looks }: { view: StartableView; there: StartableRepository | undefined; looks: boolean }) {
  const named = route.useSearch()
  const all = choices(view, there)
  const [kept, setKept] = useState<Choice>()
  const one = chosen(all, named, kept)
  if (one !== undefined && one.pipeline !== kept?.pipeline) setKept(one)
  // What is shown meanwhile is of another branch.
  const told = looks ? undefined : there
  const absent = looks ? undefined : absence(all, named, one, view, told)
  return (
    <>
      {problems(view, told, named.at).map(({ where, problem }) => (
        <p key={where} className="because tone-waiting">
          <span>
            {where}: <span className="lines">{problem}</span>
          </span>
        </p>
      ))}
      {one !== undefined && absent !== undefined && (
        <p className="because tone-waiting" role="status">
          <span className="lines">{absent}</span>
        </p>
      )}
      {one !== undefined ? (
        <Form
          key={name(one)}
          all={absent === undefined && !looks ? all : [one, ...all.filter((other) => name(other) !== name(one))]}
          chosen={one}
          stands={told ?? view.repositories.find(({ repository }) => repository === one.repository)}
        />
      ) : looks ? (
        <Loading what={`the pipelines at ${named.at ?? ''}`} />
      ) : absent !== undefined ? (
        <Panel title="This cannot be started">
          <Empty title={absent}>
            <Link to="/start">Choose among what can be started</Link>
          </Empty>
        </Panel>
      ) : (
        <Panel title="Nothing starts by hand">
          <Empty title="No pipeline has on: manual">
            Add <code>manual: {'{}'}</code> to the <code>on</code> of a pipeline file, and push.
          </Empty>
        </Panel>
      )}
    </>
  )
}

const name = ({ repository, pipeline }: Choice) => `${repository} ${pipeline.file}`

function Form({ all, chosen, stands }: { all: Choice[]; chosen: Choice; stands: StartableRepository | undefined }) {
  const { at } = route.useSearch()
  const navigate = useNavigate()
  const { may, csrf } = useOperator()
  const { inputs } = chosen.pipeline
  const [typed, setTyped] = useState<Fields>({})
  const fields = { ...initial(inputs), ...typed }
  const [reference, setReference] = useState(at ?? '')
  const [unread, setUnread] = useState<FieldView[]>([])
  const last = useRef<{ body: string; key: string }>(undefined)
  const form = useRef<HTMLFormElement>(null)
  const starting = useMutation({
    mutationFn: (body: object) => {
      last.current = keyed(last.current, JSON.stringify(body))
      return change<StartedView>('/runs', csrf, { ...body, key: last.current.key })
    },
    onSuccess: ({ run }) => void navigate({ to: '/runs/$owner/$repo/$pipeline/$number', params: runParams(run) }),
  })
  const refused = starting.error instanceof Problem ? starting.error.view.fields : []
  const mistakes = wrong([...unread, ...refused], inputs)
  const count = mistakes.at.size
  // Whoever is told of a mistake is at its field.
  useEffect(() => {
    if (count > 0) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
  }, [count, starting.error])
  const look = () => {
    const ref = reference.trim() === '' ? undefined : reference.trim()
    const { repository, pipeline } = chosen
    if (ref !== at) void navigate({ to: '/start', search: { repository, file: pipeline.file, at: ref }, replace: true })
  }
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault()
    const bad = [...event.currentTarget.elements].filter(
      (field): field is HTMLInputElement => field instanceof HTMLInputElement && field.validity.badInput,
    )
    setUnread(bad.map((field) => ({ field: field.name, message: 'this is no number', help: 'write one, such as 3 or 0.5' })))
    starting.reset()
    if (bad.length > 0) return
    const { repository, pipeline } = chosen
    const ref = reference.trim() === '' ? undefined : reference.trim()
    starting.mutate({ repository, file: pipeline.file, ref, inputs: given(inputs, fields) })
  }
  return (
    <Panel title={chosen.pipeline.name}>
      <form className="start" ref={form} noValidate onSubmit={submit}>
        <Field label="Pipeline" wrong={mistakes.at.get('file')}>
          {(props) => (
            <select
              {...props}
              value={name(chosen)}
              onChange={(event) => {
                const next = all.find((one) => name(one) === event.target.value) ?? chosen
                // Another repository has branches of its own.
                const stays = next.repository === chosen.repository ? at : undefined
                const search = { repository: next.repository, file: next.pipeline.file, at: stays }
                void navigate({ to: '/start', search, replace: true })
              }}
            >
              {all.map((one) => (
                <option key={name(one)} value={name(one)}>
                  {one.repository}: {one.pipeline.name} ({one.pipeline.file})
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field
          label="Branch or tag"
          wrong={mistakes.at.get('ref')}
          about={
            stands !== undefined &&
            stands.reference !== '' && (
              <>
                {branch(stands.reference)} stood at <Sha sha={stands.sha} />; the run is of where it stands when it is started.
              </>
            )
          }
        >
          {(props) => (
            <input
              {...props}
              type="text"
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              placeholder="the default branch"
              value={reference}
              onChange={(event) => setReference(event.target.value)}
              onBlur={look}
            />
          )}
        </Field>
        {inputs.length > 0 && (
          <p className="faint">Inputs are no secrets: they stand in the run’s page and in its journal.</p>
        )}
        {inputs.map((input) => (
          <InputField
            key={input.name}
            input={input}
            value={fields[input.name] ?? ''}
            wrong={mistakes.at.get(fieldName(input.name))}
            onChange={(value) => setTyped((before) => ({ ...before, [input.name]: value }))}
          />
        ))}
        <p className="hidden" role="status">
          {count > 0 && `${count} of the fields must be changed.`}
        </p>
        {starting.isError && (refused.length === 0 || mistakes.elsewhere.length > 0) && <Trouble error={starting.error} />}
        <div className="choice">
          <button
            className="primary"
            disabled={!may || starting.isPending}
            title={may ? undefined : 'Viewers look and change nothing; an operator may do this.'}
          >
            {starting.isPending ? 'The server looks where the branch stands…' : 'Start the run'}
          </button>
        </div>
      </form>
    </Panel>
  )
}
