import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import { useQueries, useQuery } from '@tanstack/react-query';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { moment, relative } from '../../lib/format';
import { mayManage, useMe } from '../../lib/me';
import { useNow } from '../../lib/now';
import { usePostpone } from '../../lib/usePostpone';
import { useFollow } from '../../lib/follow';
import { t } from '../../strings';
import { PageLink } from '../../ui/PageLink';
import { type Coming, hourMarks, nextDay, placeOf, watchedProjects } from './coming';

const SHOWN = 10;
const WATCHED = 20; // idle workspaces whose time to sleep is read

/** What stops, sleeps, expires or runs out in the next 24 hours, each with what changes it. */
export function NextDay({ list }: { readonly list: readonly Instance[] }) {
  const now = useNow();
  const me = useMe();
  const { data: projects = [] } = useQuery(queries.projects);
  const idle = list.filter((it) => it.state === 'running' && it.idle.verdict === 'idle');
  const watched = idle.slice(0, WATCHED);
  const sleeps = useQueries({
    queries: watched.map((it) => queries.idle(it.workspace)),
    combine: (results) => results.map(({ data }) => data?.acts_at ?? null),
  });
  const funded = watchedProjects(projects);
  const ends = useQueries({
    queries: funded.map((it) => queries.forecast(it.id)),
    combine: (results) => results.map(({ data }) => data),
  });
  const coming = nextDay(
    list,
    new Map(watched.map((it, index) => [it.workspace, sleeps[index] ?? null])),
    funded.flatMap(({ name }, index) => {
      const { runs_out_on: at = null, because = null } = ends[index] ?? {};
      return at === null ? [] : [{ name, at, because }];
    }),
    now,
  );
  if (coming.length === 0) return null;
  return (
    <Container
      header={
        <Header variant="h2" counter={`(${coming.length})`} description={t.nextDay.what}>
          {t.nextDay.title}
        </Header>
      }
    >
      <Lane coming={coming} now={now} />
      <ol className="coming" aria-label={t.nextDay.title}>
        {coming.slice(0, SHOWN).map((it) => (
          <li key={`${it.kind} ${it.id}`}>
            <time dateTime={it.at} title={moment(it.at)}>
              {relative(it.at, now)}
            </time>
            <span>
              <PageLink href={it.href}>{it.name}</PageLink> {t.nextDay.kinds[it.kind]}
              {it.because === null ? '' : `: ${it.because}`}
            </span>
            {it.instance === null ? (
              <LimitsButton name={it.name} />
            ) : (
              mayManage(me, it.instance, projects) && <Postpone coming={it} />
            )}
          </li>
        ))}
      </ol>
      {coming.length > SHOWN && t.andMore(coming.length - SHOWN)}
    </Container>
  );
}

/** The same as a picture: the hours from left to right, with a mark for each. */
function Lane({ coming, now }: { readonly coming: readonly Coming[]; readonly now: number }) {
  return (
    <svg className="lane" role="img" aria-label={t.nextDay.lane(coming.length)}>
      <line x1="0" x2="100%" y1="12" y2="12" />
      {hourMarks(now).map(({ place, text }) => (
        <g key={place}>
          <line x1={`${place}%`} x2={`${place}%`} y1="8" y2="16" />
          <text x={`${place}%`} y="30" textAnchor="middle">
            {text}
          </text>
        </g>
      ))}
      {coming.map((it) => (
        <circle
          key={`${it.kind} ${it.id}`}
          className={`lane-${it.kind}`}
          cx={`${placeOf(it.at, now)}%`}
          cy="12"
          r="6"
        />
      ))}
    </svg>
  );
}

function Postpone({ coming }: { readonly coming: Coming }) {
  const postpone = usePostpone();
  const { instance, kind, name } = coming;
  if (instance === null || kind === 'runsOut') return null;
  const { text, run } = postpone[kind === 'expires' ? 'expiring' : 'idle'];
  return (
    <Button ariaLabel={t.nextDay.buttonOf(text, name)} onClick={() => void run(instance)}>
      {text}
    </Button>
  );
}

function LimitsButton({ name }: { readonly name: string }) {
  const follow = useFollow();
  return (
    <Button
      ariaLabel={t.nextDay.buttonOf(t.nextDay.limits, name)}
      href={`/projects/${encodeURIComponent(name)}?tab=settings`}
      onFollow={follow}
    >
      {t.nextDay.limits}
    </Button>
  );
}
