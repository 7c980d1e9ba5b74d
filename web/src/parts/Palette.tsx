import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Command } from 'cmdk'
import { appsQuery, rolloutsQuery, runsQuery } from '../api/queries'
import { Dialog } from './bits'
import { runParams, stageParams } from './links'
import { Icon } from './state'

/** Goes anywhere by typing. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate()
  const runs = useInfiniteQuery(runsQuery(''))
  const apps = useQuery(appsQuery)
  const rollouts = useQuery(rolloutsQuery)
  const go = (there: Promise<void>) => {
    onClose()
    void there
  }
  return (
    <Dialog open title="Go to" onClose={onClose} wide>
      <Command label="Go to" loop>
        <Command.Input data-first placeholder="Go to a run, an application, a rollout…" />
        <Command.List>
          <Command.Empty>Nothing here has that name.</Command.Empty>
          <Command.Group heading="Pages">
            <Command.Item onSelect={() => go(navigate({ to: '/' }))}>Home</Command.Item>
            <Command.Item onSelect={() => go(navigate({ to: '/runs' }))}>Runs</Command.Item>
            <Command.Item onSelect={() => go(navigate({ to: '/start' }))}>Start a run</Command.Item>
            <Command.Item onSelect={() => go(navigate({ to: '/apps' }))}>Applications</Command.Item>
            <Command.Item onSelect={() => go(navigate({ to: '/rollouts' }))}>Rollouts</Command.Item>
            <Command.Item onSelect={() => go(navigate({ to: '/deliveries' }))}>Deliveries</Command.Item>
            <Command.Item onSelect={() => go(navigate({ to: '/plugins' }))}>Plugins</Command.Item>
          </Command.Group>
          <Command.Group heading="Rollouts">
            {rollouts.data?.map(({ stream, name, phase }) => (
              <Command.Item
                key={stream}
                value={stream}
                onSelect={() =>
                  go(navigate({ to: '/rollouts/$cluster/$namespace/$name', params: stageParams(stream) }))
                }
              >
                <Icon word={phase} /> {name} <small>{phase}</small>
              </Command.Item>
            ))}
          </Command.Group>
          <Command.Group heading="Applications">
            {apps.data?.map(({ stream, name, sync }) => (
              <Command.Item
                key={stream}
                value={stream}
                onSelect={() => go(navigate({ to: '/apps/$cluster/$namespace/$name', params: stageParams(stream) }))}
              >
                <Icon word={sync} /> {name} <small>{sync}</small>
              </Command.Item>
            ))}
          </Command.Group>
          <Command.Group heading="Runs">
            {runs.data?.pages[0]?.runs.map(({ run }) => (
              <Command.Item
                key={run.id}
                value={`${run.id} ${run.title} ${run.author}`}
                onSelect={() => go(navigate({ to: '/runs/$owner/$repo/$pipeline/$number', params: runParams(run.id) }))}
              >
                <Icon word={run.state} /> {run.pipeline} #{run.number} <small>{run.title}</small>
              </Command.Item>
            ))}
          </Command.Group>
        </Command.List>
      </Command>
      <p className="faint keys">
        <kbd>/</kbd> search the page <kbd>j</kbd> <kbd>k</kbd> walk its rows <kbd>Enter</kbd> open <kbd>Esc</kbd> close
      </p>
    </Dialog>
  )
}
