import { money } from '../lib/format';
import { t } from '../strings';

/** A part of a pool that a project has. */
export interface Flow {
  readonly pool: string;
  readonly project: string;
  readonly amount: number;
}

const ROW = 48;
const [LEFT, RIGHT, THICKEST] = [230, 470, 26];

/** Which pool pays how much for which project, as a picture; the tables below say the same. */
export function MoneyFlow({ flows }: { readonly flows: readonly Flow[] }) {
  const pools = [...new Set(flows.map((it) => it.pool))];
  const projects = [...new Set(flows.map((it) => it.project))];
  const most = Math.max(...flows.map((it) => it.amount), 0);
  if (most === 0) return null;
  const y = (list: readonly string[], name: string) => list.indexOf(name) * ROW + ROW / 2;
  const words = flows.map((it) => t.money.flow(it.pool, money(it.amount), it.project)).join('; ');
  const cut = (name: string) => (name.length > 28 ? `${name.slice(0, 27)}…` : name);
  return (
    <svg
      className="flow"
      viewBox={`0 0 700 ${Math.max(pools.length, projects.length) * ROW}`}
      role="img"
      aria-label={words}
    >
      {flows.map((it) => {
        const [from, to] = [y(pools, it.pool), y(projects, it.project)];
        const middle = (LEFT + RIGHT) / 2;
        return (
          <path
            key={`${it.pool}\0${it.project}`}
            d={`M${LEFT} ${from} C${middle} ${from} ${middle} ${to} ${RIGHT} ${to}`}
            strokeWidth={Math.max(2, (THICKEST * it.amount) / most)}
          />
        );
      })}
      {pools.map((name) => (
        <g key={name}>
          <rect x={LEFT - 6} y={y(pools, name) - 14} width="6" height="28" />
          <text x={LEFT - 14} y={y(pools, name) + 4} textAnchor="end">
            {cut(name)}
          </text>
        </g>
      ))}
      {projects.map((name) => (
        <g key={name}>
          <rect x={RIGHT} y={y(projects, name) - 14} width="6" height="28" />
          <text x={RIGHT + 14} y={y(projects, name) + 4}>
            {cut(name)}
          </text>
        </g>
      ))}
    </svg>
  );
}
