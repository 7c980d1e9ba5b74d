import { Link } from '@tanstack/react-router'
import type { CorridorView, StationView } from '../api/types'
import { Ago, StatusLine, Lasting, Sha } from './bits'
import { runParams } from './links'
import { Icon, look, State } from './state'
import { branch } from './words'

/** A push with everything that it passes, in one line. */
export function Corridor({ view }: { view: CorridorView }) {
  const { run, stations } = view
  const here = stations.find((station) => station.status !== null)
  const status = here?.status ?? run.status
  return (
    <article className="corridor">
      <header>
        <Link data-row className="title" to="/runs/$owner/$repo/$pipeline/$number" params={runParams(run.id)}>
          {run.title}
        </Link>
        <span className="facts">
          <span>
            {run.pipeline} <strong className="num">#{run.number}</strong>
          </span>
          <span>
            <Sha sha={run.sha} /> on {branch(run.reference)}
          </span>
          <span>{run.author}</span>
          {run.ended_ms === null ? (
            <span>
              for <Lasting from={run.opened_ms} to={null} />
            </span>
          ) : (
            <span>
              <Ago at={run.ended_ms} />, took <Lasting from={run.opened_ms} to={run.ended_ms} />
            </span>
          )}
          {run.state !== 'open' && <State word={run.state} />}
          {stations.some(asks) && <State word="asking" />}
        </span>
      </header>
      {stations.length > 1 && <Track run={run.id} stations={stations} />}
      {run.state === 'open' && <StatusLine status={status} quiet="The run says nothing at this moment." />}
      {run.state !== 'open' && run.state !== 'succeeded' && <StatusLine status={run.status} as={run.state} />}
    </article>
  )
}

/** The stations alone. */
export function Track({ run, stations }: { run: string; stations: StationView[] }) {
  return (
    <ol className="track">
      {stations.map((station) => (
        <Station key={station.id} run={run} station={station} />
      ))}
    </ol>
  )
}

/** Whether a step waits for somebody's approval. */
export const asks = (station: StationView) => station.state === 'asking'

/** A step that nothing is recorded about waits for its turn, not for the world. */
export const stationWord = (station: StationView) => (station.state === 'waiting' ? 'pending' : station.state)

function Station({ run, station }: { run: string; station: StationView }) {
  const word = stationWord(station)
  const body = (
    <>
      <Icon word={word} />
      <span className="station-name">{station.id}</span>
      <span className="station-time">
        {station.started_ms === null ? (
          <span className="faint">{station.id === 'delivery' ? 'arrived' : look(word).text}</span>
        ) : (
          <>
            <span className="hidden">{look(word).text}, </span>
            <Lasting from={station.started_ms} to={station.state === 'running' ? null : station.ended_ms} />
          </>
        )}
      </span>
    </>
  )
  const name = `station tone-${look(word).tone} is-${station.state}`
  return (
    <li className={name}>
      {station.id === 'delivery' ? (
        <span className="station-body">{body}</span>
      ) : (
        <Link
          className="station-body"
          to="/runs/$owner/$repo/$pipeline/$number"
          params={runParams(run)}
          search={{ step: station.id }}
        >
          {body}
        </Link>
      )}
    </li>
  )
}
