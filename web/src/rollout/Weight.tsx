/** The canary's share of the traffic: asked, and served. */
export function Weight({ asked, served, big }: { asked: number; served: number | null; big?: boolean }) {
  const share = served ?? asked
  return (
    <div className={big === true ? 'weight big' : 'weight'}>
      <p>
        <span>
          asked of the canary <strong className="num">{asked} %</strong>
        </span>
        <span>
          served by it <strong className="num">{served === null ? 'not verified' : `${served} %`}</strong>
          {served !== null && served !== asked && <span className="tone-waiting"> not yet what was asked</span>}
        </span>
      </p>
      <div className="weight-bar" aria-hidden="true">
        <span className={served === null ? 'unsure' : ''} style={{ width: `${share}%` }} />
        <i style={{ left: `${asked}%` }} />
      </div>
    </div>
  )
}
