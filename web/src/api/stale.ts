/** Which queries a change of these streams makes stale. */
export function staleKeys(streams: string[]): string[][] {
  const keys = new Map<string, string[]>()
  const add = (...key: string[]) => keys.set(key.join(' '), key)
  for (const stream of streams) {
    const [stage = '', ...parts] = stream.split('/')
    add('home')
    if (stage === 'delivery') add('deliveries')
    if (stage === 'run') add('plugins')
    if (stage === 'run' || stage === 'image' || stage === 'bump') {
      add('runs')
      add('run', parts.slice(0, 4).join('/'))
    } else if (stage === 'app') {
      add('apps')
      add('app', stream)
      add('run')
    } else if (stage === 'rollout') {
      add('rollouts')
      add('rollout', stream)
      add('run')
    }
  }
  return [...keys.values()]
}
