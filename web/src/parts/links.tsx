import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'

/** The parts of a run's id, as its address wants them. */
export function runParams(id: string) {
  const [owner = '', repo = '', pipeline = '', number = ''] = id.split('/')
  return { owner, repo, pipeline, number }
}

/** The parts of `app/...` or `rollout/...`. */
export function stageParams(stream: string) {
  const [, cluster = '', namespace = '', name = ''] = stream.split('/')
  return { cluster, namespace, name }
}

/** What a stream is called: `was in petclinic`, `petclinic-was #56`. */
export function streamName(stream: string): string {
  const [stage = '', ...parts] = stream.split('/')
  if (stage === 'run' || stage === 'image' || stage === 'bump') {
    const [, , pipeline = '', number = '', step] = parts
    return `${pipeline} #${number}${step === undefined ? '' : `, ${step}`}`
  }
  return stage === 'plugin' ? parts.join('/') : parts.slice(1).join('/')
}

/** A link to whatever a stream is shown by. */
export function StreamLink({ stream, children, row }: { stream: string; children?: ReactNode; row?: boolean }) {
  const text = children ?? streamName(stream)
  const stage = stream.split('/')[0]
  const marks = row === true ? { 'data-row': true } : {}
  if (stage === 'app') {
    return (
      <Link {...marks} to="/apps/$cluster/$namespace/$name" params={stageParams(stream)}>
        {text}
      </Link>
    )
  }
  if (stage === 'rollout') {
    return (
      <Link {...marks} to="/rollouts/$cluster/$namespace/$name" params={stageParams(stream)}>
        {text}
      </Link>
    )
  }
  if (stage === 'run' || stage === 'image' || stage === 'bump') {
    const run = stream.split('/').slice(1, 5).join('/')
    const step = stream.split('/')[5]
    return (
      <Link {...marks} to="/runs/$owner/$repo/$pipeline/$number" params={runParams(run)} search={{ step }}>
        {text}
      </Link>
    )
  }
  if (stage === 'delivery') {
    return (
      <Link {...marks} to="/deliveries" search={{ q: stream.split('/')[2] }}>
        {text}
      </Link>
    )
  }
  if (stage === 'plugin') {
    return (
      <Link {...marks} to="/plugins">
        {text}
      </Link>
    )
  }
  return <span>{text}</span>
}

/** What a stage is called by people. */
export function stageName(stream: string): string {
  const stage = stream.split('/')[0] ?? ''
  return { app: 'Application', rollout: 'Rollout', run: 'Run', image: 'Image', bump: 'Bump', delivery: 'Delivery', plugin: 'Plugin' }[stage] ?? stage
}
