import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { day, hourly, money, moment } from '../../lib/format';
import { t } from '../../strings';
import { Advice } from './Advice';
import { BurnDown } from './BurnDown';
import { CapBar } from './CapBar';
import { daysBetween } from './money';
import { ProjectMonth } from './ProjectMonth';
import { Loaded } from '../../ui/Loaded';
import { ValueWithSource } from '../../ui/ValueWithSource';

/** What a project has spent, what is set aside, what is left, and when it runs out. */
export function ProjectMoney({ project }: { readonly project: Schemas['ProjectShown'] }) {
  const query = useQuery(queries.forecast(project.id));
  const spent = useQuery(queries.projectBudget(project.id));
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">{t.money.money}</Header>}>
        <Loaded query={query} what={t.money.money}>
          {(it) => <Outlook forecast={it} project={project} />}
        </Loaded>
      </Container>
      <Container header={<Header variant="h2">{t.money.where}</Header>}>
        <Loaded query={spent} what={t.money.where}>
          {(it) => (
            <Table<Schemas['TopInstance']>
              variant="embedded"
              items={it.top_spending_instances}
              trackBy="name"
              ariaLabels={{ tableLabel: t.money.where }}
              empty={<Box color="text-body-secondary">{t.money.nothingSpent}</Box>}
              columnDefinitions={[
                {
                  id: 'name',
                  header: t.fields.name,
                  isRowHeader: true,
                  cell: (instance) => instance.name,
                },
                { id: 'cost', header: t.costs.cost, cell: (instance) => money(instance.cost) },
                {
                  id: 'share',
                  header: t.costs.share,
                  cell: (instance) => `${instance.percentage}%`,
                },
              ]}
            />
          )}
        </Loaded>
      </Container>
      <Advice project={project.id} />
      <ProjectMonth project={project} />
    </SpaceBetween>
  );
}

function Outlook({
  forecast,
  project,
}: {
  readonly forecast: Schemas['ProjectForecast'];
  readonly project: Schemas['ProjectShown'];
}) {
  const asOf = t.money.asOf(moment(forecast.as_of));
  const sourced = (label: string, value: string, source: string) => ({
    label,
    value: <ValueWithSource label={label} value={value} source={`${source} ${asOf}`} />,
  });
  // A pool is spent by others too, whose costs are not in this project's history.
  const mine = forecast.caps.filter((it) => it.scope !== 'pool');
  const left = (it: (typeof mine)[number]) => it.left ?? Infinity;
  const first = mine.toSorted((a, b) => left(a) - left(b))[0];
  return (
    <SpaceBetween size="l">
      {forecast.unpriced.length > 0 && (
        <Alert type="warning">{t.money.unpriced(forecast.unpriced)}</Alert>
      )}
      <KeyValuePairs
        columns={4}
        items={[
          sourced(t.money.spent, money(forecast.spent), t.money.spentSource),
          sourced(t.money.reserved, money(forecast.reserved), t.money.reservedSource),
          sourced(t.money.left, leftOf(forecast), t.money.leftSource),
          sourced(t.home.rate, hourly(forecast.hourly), t.money.rateSource),
          sourced(
            t.money.runsOut,
            forecast.runs_out_on === null ? t.money.never : day(forecast.runs_out_on),
            t.money.runsOutSource(forecast.because),
          ),
        ]}
      />
      {forecast.caps.length === 0 && <Box>{t.money.noCap}</Box>}
      {forecast.caps.map((it) => (
        <div key={`${it.scope} ${it.id}`}>
          <Box variant="h3">{t.money.capOf(it.cap)}</Box>
          {it.settled !== null && it.left !== null && (
            <CapBar
              label={it.cap}
              amount={it.amount}
              settled={it.settled}
              reserved={it.reserved}
              left={it.left}
            />
          )}
          <Box variant="p">{outcome(it)}</Box>
        </div>
      ))}
      {first !== undefined && first.settled !== null && (
        <BurnDown
          project={project.id}
          amount={first.amount}
          spent={first.settled}
          daily={forecast.daily}
          asOf={forecast.as_of}
          course={forecast.courses.find((it) => it.id === first.id)}
        />
      )}
      {project.budget.auto_hibernate_threshold !== null && (
        <Box>{t.money.hibernatesAt(project.budget.auto_hibernate_threshold)}</Box>
      )}
      <Box>{t.money.preventsAt(project.budget.prevent_launch_threshold)}</Box>
    </SpaceBetween>
  );
}

/** Whether a cap lasts, in words; and if not, how many days before the end of its period it ends. */
function outcome(cap: Schemas['CapBalance']): string {
  const { amount, because, period_end: end, projected, runs_out_on: out } = cap;
  if (out === null)
    return projected !== null && projected > amount
      ? t.money.otherEndsFirst
      : t.money.lasts(money(projected));
  const days = end === null ? 0 : daysBetween(out, end);
  const stops = t.money.stops(day(out), because);
  return end === null || days < 1 ? stops : `${stops} ${t.money.early(days, day(end))}`;
}

function leftOf(forecast: Schemas['ProjectForecast']): string {
  return forecast.caps.length === 0 ? t.money.unlimited : money(forecast.left);
}
