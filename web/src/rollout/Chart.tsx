import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import type { WeightView } from '../api/types'
import { useNow } from '../parts/clock'
import { drawn } from './weights'
import 'uplot/dist/uPlot.min.css'

/** Weight asked and weight served over time, as steps. */
export default function Chart({ weights, phase }: { weights: WeightView[]; phase: string }) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const now = useNow()
  const last = weights.at(-1)

  useEffect(() => {
    const element = box.current
    if (element === null) return
    const draw = () => {
      plot.current?.destroy()
      plot.current = new uPlot(options(element), [[], [], []], element)
    }
    draw()
    const dark = matchMedia('(prefers-color-scheme: dark)')
    dark.addEventListener('change', draw)
    const observer = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: height(element) }),
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      dark.removeEventListener('change', draw)
      plot.current?.destroy()
      plot.current = null
    }
  }, [])

  useEffect(() => {
    const { at, asked, served } = drawn(weights, now, phase)
    plot.current?.setData([at, asked, served])
  }, [weights, phase, now])

  return (
    <div
      ref={box}
      className="chart"
      role="img"
      aria-label={`weight asked ${last?.asked ?? 0} %, served ${last?.served ?? 'not verified'}${last?.served == null ? '' : ' %'}`}
    />
  )
}

const height = (element: HTMLElement) => (element.clientWidth < 500 ? 180 : 240)

function options(element: HTMLElement): uPlot.Options {
  // A canvas knows no `light-dark()`; what an element is painted with is resolved.
  const painted = element.appendChild(document.createElement('i'))
  const colour = (name: string) => {
    painted.style.color = `var(${name})`
    return getComputedStyle(painted).color
  }
  const stepped = uPlot.paths.stepped?.({ align: 1 })
  const axis = {
    stroke: colour('--chart-text'),
    grid: { stroke: colour('--chart-line'), width: 1 },
    ticks: { show: false },
  }
  // Where the pointer is; at the newest where it is elsewhere.
  const at = (plot: uPlot, series: number, index: number | null) =>
    plot.data[series]?.[index ?? plot.data[0].length - 1] ?? null
  const percent = (plot: uPlot, _: unknown, series: number, index: number | null) => {
    const value = at(plot, series, index)
    return value === null ? 'not verified' : `${value} %`
  }
  const moment = (plot: uPlot, _: unknown, series: number, index: number | null) =>
    new Date((at(plot, series, index) ?? 0) * 1000).toLocaleTimeString()
  const options: uPlot.Options = {
    width: element.clientWidth,
    height: height(element),
    scales: { y: { range: [0, 105] } },
    axes: [
      {
        ...axis,
        values: (_, times) =>
          times.map((at) => new Date(at * 1000).toLocaleTimeString(undefined, { timeStyle: 'medium' })),
        space: 80,
      },
      { ...axis, values: (_, values) => values.map((value) => `${value} %`), size: 48, splits: [0, 25, 50, 75, 100] },
    ],
    series: [
      { label: 'at', value: moment },
      {
        label: 'asked',
        stroke: colour('--chart-asked'),
        width: 2,
        dash: [6, 4],
        paths: stepped,
        points: { show: false },
        value: percent,
      },
      {
        label: 'served',
        stroke: colour('--chart-served'),
        fill: colour('--chart-fill'),
        width: 2,
        paths: stepped,
        points: { show: false },
        value: percent,
      },
    ],
  }
  painted.remove()
  return options
}
