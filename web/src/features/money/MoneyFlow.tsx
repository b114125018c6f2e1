import { money } from '../../lib/format';
import { useNarrow } from '../../lib/useNarrow';
import { t } from '../../strings';

/** A part of a pool that a project has. */
export interface Flow {
  readonly pool: string;
  readonly project: string;
  readonly amount: number;
}

const THICKEST = 26;
// Names beside the bars, or, where there is no room, above them.
const WIDE = { width: 700, row: 48, left: 230, right: 470, gap: 14, up: -4, letters: 28 } as const;
const SMALL = { width: 320, row: 64, left: 6, right: 314, gap: -6, up: 20, letters: 20 } as const;

/** Which pool pays how much for which project, as a picture; the tables below say the same. */
export function MoneyFlow({ flows }: { readonly flows: readonly Flow[] }) {
  const narrow = useNarrow();
  const pools = [...new Set(flows.map((it) => it.pool))];
  const projects = [...new Set(flows.map((it) => it.project))];
  const most = Math.max(...flows.map((it) => it.amount), 0);
  if (most === 0) return null;
  const { width, row, left, right, gap, up, letters } = narrow ? SMALL : WIDE;
  const [before, after] = narrow ? (['start', 'end'] as const) : (['end', 'start'] as const);
  const y = (list: readonly string[], name: string) =>
    list.indexOf(name) * row + row / 2 + (narrow ? 10 : 0);
  const words = flows.map((it) => t.money.flow(it.pool, money(it.amount), it.project)).join('; ');
  const cut = (name: string) => (name.length > letters ? `${name.slice(0, letters - 1)}…` : name);
  return (
    <svg
      className="flow"
      viewBox={`0 0 ${width} ${Math.max(pools.length, projects.length) * row}`}
      role="img"
      aria-label={words}
    >
      {flows.map((it) => {
        const [from, to] = [y(pools, it.pool), y(projects, it.project)];
        const middle = (left + right) / 2;
        return (
          <path
            key={`${it.pool}\0${it.project}`}
            d={`M${left} ${from} C${middle} ${from} ${middle} ${to} ${right} ${to}`}
            strokeWidth={Math.max(2, (THICKEST * it.amount) / most)}
          />
        );
      })}
      {pools.map((name) => (
        <g key={name}>
          <rect x={left - 6} y={y(pools, name) - 14} width="6" height="28" />
          <text x={left - gap} y={y(pools, name) - up} textAnchor={before}>
            {cut(name)}
          </text>
        </g>
      ))}
      {projects.map((name) => (
        <g key={name}>
          <rect x={right} y={y(projects, name) - 14} width="6" height="28" />
          <text x={right + gap} y={y(projects, name) - up} textAnchor={after}>
            {cut(name)}
          </text>
        </g>
      ))}
    </svg>
  );
}
