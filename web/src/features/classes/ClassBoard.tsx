import Box from '@cloudscape-design/components/box';
import Cards, { type CardsProps } from '@cloudscape-design/components/cards';
import Header from '@cloudscape-design/components/header';
import LiveRegion from '@cloudscape-design/components/live-region';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import TextFilter from '@cloudscape-design/components/text-filter';
import ToggleButton from '@cloudscape-design/components/toggle-button';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useDeferredValue, useMemo, useState } from 'react';
import { useParams } from 'react-router';

import type { Instance, Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { hasRole, useMe } from '../../lib/me';
import { useSearch } from '../../lib/useSearch';
import { t } from '../../strings';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { Loaded } from '../../ui/Loaded';
import { NotFound } from '../../ui/NotFound';
import { PageLink } from '../../ui/PageLink';
import { ClassActions } from './ClassActions';
import { ClassTile } from './ClassTile';
import {
  type Condition,
  CONDITIONS,
  ofClass,
  type Seat,
  seatsOf,
  shown,
  workspaceName,
} from './board';

const ResetDialog = lazy(() => import('./ResetDialog'));
const NOBODY: readonly never[] = [];
const PER_ROW: CardsProps.CardsLayout[] = [
  { cards: 1 },
  { minWidth: 500, cards: 2 },
  { minWidth: 800, cards: 3 },
  { minWidth: 1100, cards: 5 },
  { minWidth: 1500, cards: 6 },
];
const HELP: ReadonlySet<string> = new Set(['failed', 'stuck', 'unopened', 'idle']);

/** A class: a tile for each person, with the state of their workspace. */
export default function ClassBoard() {
  const { name = '' } = useParams();
  const query = useQuery(queries.projects);
  const me = useMe();
  return (
    <Loaded query={query} what={name}>
      {(list) => {
        const project = list.find((it) => it.name === name || it.id === name);
        if (project === undefined)
          return <NotFound what={t.money.noProject(name)} list="projects" />;
        if (!hasRole(me, project.id, 'admin', 'owner'))
          return <NotFound what={t.classes.noAccess} list="projects" />;
        return <Board project={project} />;
      }}
    </Loaded>
  );
}

function Board({ project }: { readonly project: Schemas['ProjectShown'] }) {
  const { data: list, error, refetch } = useQuery(queries.instances);
  const invitations = useQuery(queries.invitations(project.id));
  const [search, change] = useSearch();
  const [resetting, reset] = useState<readonly Instance[] | null>(null);
  const answers = invitations.data?.invitations ?? NOBODY;
  const seats = useMemo(
    () => seatsOf(project.members, answers, ofClass(list ?? [], project.name)),
    [project, answers, list],
  );
  const state = CONDITIONS.find((it) => it === search.get('state')) ?? null;
  const text = search.get('find') ?? '';
  const sought = useDeferredValue(text);
  const name = search.get('workspace');
  const named = useMemo(() => shown(seats, null, '', name), [seats, name]);
  const tiles = useMemo(() => shown(named, state, sought, null), [named, state, sought]);
  const definition = useMemo(() => tileOf((it) => reset([it])), []);
  const problem = error ?? invitations.error;
  if (problem !== null && (list === undefined || invitations.data === undefined)) {
    const again = () => void Promise.all([refetch(), invitations.refetch()]);
    return <ErrorAlert error={problem} retry={again} />;
  }
  const workspaces = tiles.flatMap(({ instance }) => (instance === null ? [] : [instance]));
  return (
    <>
      <Cards<Seat>
        variant="full-page"
        stickyHeader
        loading={list === undefined || invitations.data === undefined}
        loadingText={t.loading(t.classes.board(project.name))}
        items={tiles}
        trackBy="id"
        ariaLabels={LABELS}
        cardsPerRow={PER_ROW}
        cardDefinition={definition}
        header={
          <Header
            variant="awsui-h1-sticky"
            counter={`(${named.length})`}
            description={
              <SpaceBetween size="xxs">
                <LiveRegion>{sentenceOf(named)}</LiveRegion>
                {t.classes.visible}
              </SpaceBetween>
            }
            actions={<ClassActions project={project.name} workspaces={workspaces} reset={reset} />}
          >
            {t.classes.board(project.name)}
          </Header>
        }
        filter={
          <SpaceBetween size="s">
            <TextFilter
              filteringText={text}
              filteringPlaceholder={t.classes.find}
              filteringAriaLabel={t.classes.find}
              countText={text === '' ? '' : t.matches(tiles.length)}
              onChange={({ detail }) => change({ find: detail.filteringText || null })}
            />
            <StateChoice seats={named} state={state} choose={(it) => change({ state: it })} />
            <NameChoice seats={seats} name={name} choose={(it) => change({ workspace: it })} />
          </SpaceBetween>
        }
        empty={
          <Box color="text-body-secondary">
            {seats.length === 0 ? t.classes.nobody : t.classes.noMatch}
          </Box>
        }
      />
      {resetting !== null && (
        <Suspense>
          <ResetDialog workspaces={resetting} close={() => reset(null)} />
        </Suspense>
      )}
    </>
  );
}

const LABELS: CardsProps.AriaLabels<Seat> = {
  itemSelectionLabel: (_, it) => it.person,
  selectionGroupLabel: t.classes.title,
  cardsLabel: t.classes.title,
};

/** How a seat is drawn; made once, so that a change draws the tiles that it concerns. */
function tileOf(reset: (instance: Instance) => void): CardsProps.CardDefinition<Seat> {
  return {
    header: ({ person, instance }) =>
      instance === null ? (
        person
      ) : (
        <PageLink href={`/workspaces/${instance.name}`}>{person || instance.name}</PageLink>
      ),
    sections: [{ id: 'tile', content: (it) => <ClassTile seat={it} reset={reset} /> }],
  };
}

function sentenceOf(seats: readonly Seat[]): string {
  const count = (fits: (seat: Seat) => boolean) => seats.filter(fits).length;
  return t.classes.sentence(
    count((it) => it.condition === 'working'),
    count((it) => HELP.has(it.condition)),
    count((it) => it.condition === 'absent'),
  );
}

/** Which condition is shown alone; each says how many are in it. */
function StateChoice({
  seats,
  state,
  choose,
}: {
  readonly seats: readonly Seat[];
  readonly state: Condition | null;
  readonly choose: (state: Condition | null) => void;
}) {
  const count = (id: Condition) => seats.filter((it) => it.condition === id).length;
  const present = CONDITIONS.filter((id) => id === state || count(id) > 0);
  return (
    <div role="group" aria-label={t.classes.state}>
      <SpaceBetween direction="horizontal" size="xs">
        <ToggleButton pressed={state === null} onChange={() => choose(null)}>
          {t.classes.everything(seats.length)}
        </ToggleButton>
        {present.map((id) => (
          <ToggleButton
            key={id}
            pressed={id === state}
            onChange={({ detail }) => choose(detail.pressed ? id : null)}
          >
            {t.classes.counted(t.classes.conditions[id], count(id))}
          </ToggleButton>
        ))}
      </SpaceBetween>
    </div>
  );
}

/** Which of several workspaces of each person is shown, where there are several. */
function NameChoice({
  seats,
  name,
  choose,
}: {
  readonly seats: readonly Seat[];
  readonly name: string | null;
  readonly choose: (name: string | null) => void;
}) {
  const names = new Set(
    seats.flatMap(({ instance }) => (instance === null ? [] : [workspaceName(instance)])),
  );
  if (names.size < 2) return null;
  const options = [
    { value: '', label: t.classes.anyName },
    ...[...names].sort().map((it) => ({ value: it, label: it })),
  ];
  return (
    <Select
      ariaLabel={t.classes.name}
      selectedOption={options.find((it) => it.value === (name ?? '')) ?? null}
      options={options}
      onChange={({ detail }) => choose(detail.selectedOption.value || null)}
    />
  );
}
