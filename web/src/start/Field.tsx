import { useId, type ReactNode } from 'react'
import type { FieldView, InputView } from '../api/types'
import { fieldName } from './form'

/** A labelled field, with what is wrong with it. */
export function Field({
  label,
  about,
  wrong,
  inline,
  children,
}: {
  label: ReactNode
  about?: ReactNode
  wrong: FieldView | undefined
  /** Whether the label stands beside the field, as a checkbox's does. */
  inline?: boolean
  children: (props: { id: string; 'aria-invalid': boolean; 'aria-describedby': string | undefined }) => ReactNode
}) {
  const id = useId()
  const notes = [about === undefined ? '' : `${id}-about`, wrong === undefined ? '' : `${id}-wrong`].filter((note) => note !== '')
  const field = children({
    id,
    'aria-invalid': wrong !== undefined,
    'aria-describedby': notes.length > 0 ? notes.join(' ') : undefined,
  })
  return (
    <div className={inline === true ? 'field inline' : 'field'}>
      {inline === true && field}
      <label htmlFor={id}>{label}</label>
      {about !== undefined && (
        <p className="faint" id={`${id}-about`}>
          {about}
        </p>
      )}
      {inline !== true && field}
      {wrong !== undefined && (
        <p className="wrong" id={`${id}-wrong`}>
          {wrong.message}: {wrong.help}
        </p>
      )}
    </div>
  )
}

/** A field for an input, by its type. */
export function InputField({
  input,
  value,
  wrong,
  onChange,
}: {
  input: InputView
  value: string | boolean
  wrong: FieldView | undefined
  onChange: (value: string | boolean) => void
}) {
  const { name, kind } = input
  const label = (
    <>
      <code>{name}</code>
      {input.required && <span className="faint"> required</span>}
    </>
  )
  const about = input.description === '' ? undefined : input.description
  const set = (event: { target: { value: string } }) => onChange(event.target.value)
  return (
    <Field label={label} about={about} wrong={wrong} inline={kind === 'boolean'}>
      {(props) => {
        const all = { ...props, name: fieldName(name), 'aria-required': input.required }
        if (kind === 'boolean') {
          return <input {...all} type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} />
        }
        const text = String(value)
        if (kind === 'choice') {
          return (
            <select {...all} value={text} onChange={set}>
              {(text === '' || input.default === null) && <option value="">Choose…</option>}
              {input.options.map((option) => (
                <option key={option}>{option}</option>
              ))}
            </select>
          )
        }
        if (kind === 'number') return <input {...all} type="number" step="any" inputMode="decimal" value={text} onChange={set} />
        return <input {...all} type="text" autoComplete="off" spellCheck={false} value={text} onChange={set} />
      }}
    </Field>
  )
}
