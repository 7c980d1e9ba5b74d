import { graphlib, layout } from '@dagrejs/dagre'
import { Background, Controls, Handle, Position, ReactFlow, type Edge, type Node, type NodeProps } from '@xyflow/react'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { RunStepView } from '../api/types'
import { Lasting } from '../parts/bits'
import { stepWord } from '../parts/RunRow'
import { Icon, look } from '../parts/state'
import '@xyflow/react/dist/base.css'
import '../style/graph.css'

const WIDTH = 168
const HEIGHT = 62

type StepNode = Node<{ step: RunStepView; chosen: boolean; down: boolean; pick: (id: string) => void }, 'step'>

const nodeTypes = { step: Step }

/** The steps and what each of them needs, left to right; downwards where it is narrow. */
export default function Graph({
  steps,
  chosen,
  onPick,
}: {
  steps: RunStepView[]
  chosen: string | undefined
  onPick: (step: string) => void
}) {
  const box = useRef<HTMLDivElement>(null)
  const [down, setDown] = useState<boolean | null>(null)
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setDown((entry?.contentRect.width ?? 1000) < 560))
    if (box.current !== null) observer.observe(box.current)
    return () => observer.disconnect()
  }, [])
  const places = useMemo(() => arrange(steps, down === true), [steps, down])
  const nodes: StepNode[] = steps.map((step) => ({
    id: step.summary.id,
    type: 'step',
    position: places.at.get(step.summary.id) ?? { x: 0, y: 0 },
    data: { step, chosen: step.summary.id === chosen, down: down === true, pick: onPick },
    width: WIDTH,
    height: HEIGHT,
  }))
  const shape = `${steps.map((step) => step.summary.id).join(' ')} ${String(down)}`
  return (
    <div
      ref={box}
      className="graph"
      style={{ height: Math.min(Math.max(places.height + 56, 150), down === true ? 620 : 420) }}
    >
      {down !== null && (
        <ReactFlow
          key={shape}
          nodes={nodes}
          edges={edges(steps)}
          nodeTypes={nodeTypes}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          zoomOnScroll={false}
          preventScrolling={false}
          minZoom={0.4}
          maxZoom={1.4}
          fitView
          fitViewOptions={{ maxZoom: 1, padding: 0.06 }}
          proOptions={{ hideAttribution: true }}
        >
          <Background gap={18} />
          {steps.length > 8 && <Controls showInteractive={false} />}
        </ReactFlow>
      )}
    </div>
  )
}

function needs(steps: RunStepView[], step: RunStepView): string[] {
  if (!step.is_final || step.needs.length > 0) return step.needs
  // A final step comes after everything that no other step needs.
  const needed = new Set(steps.flatMap((other) => other.needs))
  return steps.filter((other) => !other.is_final && !needed.has(other.summary.id)).map((other) => other.summary.id)
}

function edges(steps: RunStepView[]): Edge[] {
  return steps.flatMap((step) =>
    needs(steps, step).map((before) => ({
      id: `${before} ${step.summary.id}`,
      source: before,
      target: step.summary.id,
      className: step.summary.state === 'running' ? 'edge-live' : '',
    })),
  )
}

function arrange(steps: RunStepView[], down: boolean) {
  const graph = new graphlib.Graph()
  graph.setGraph({ rankdir: down ? 'TB' : 'LR', nodesep: 18, ranksep: down ? 26 : 44 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const step of steps) graph.setNode(step.summary.id, { width: WIDTH, height: HEIGHT })
  for (const step of steps) for (const before of needs(steps, step)) graph.setEdge(before, step.summary.id)
  layout(graph)
  const at = new Map<string, { x: number; y: number }>()
  for (const step of steps) {
    const { x = 0, y = 0 } = graph.node(step.summary.id) as { x?: number; y?: number }
    at.set(step.summary.id, { x: x - WIDTH / 2, y: y - HEIGHT / 2 })
  }
  const { height = 0 } = graph.graph() as { height?: number }
  return { at, height }
}

function Step({ data: { step, chosen, down, pick } }: NodeProps<StepNode>) {
  const { summary } = step
  const word = stepWord(summary)
  return (
    <>
      <Handle type="target" position={down ? Position.Top : Position.Left} />
      <button
        type="button"
        className={`node tone-${look(word).tone} is-${summary.state}`}
        aria-pressed={chosen}
        onClick={() => pick(summary.id)}
      >
        <Icon word={word} />
        <span className="node-name">{summary.id}</span>
        <span className="node-time faint">
          {look(word).text}
          {summary.started_ms !== null && (
            <>
              {', '}
              <Lasting from={summary.started_ms} to={summary.state === 'running' ? null : summary.ended_ms} />
            </>
          )}
        </span>
      </button>
      <Handle type="source" position={down ? Position.Bottom : Position.Right} />
    </>
  )
}
