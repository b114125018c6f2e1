import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import { useQuery } from '@tanstack/react-query';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { hourly, money } from '../../lib/format';
import { useNow } from '../../lib/now';
import { restOfMonth } from './month';
import { useOperator } from '../../lib/me';
import { t } from '../../strings';
import { PageLink } from '../../ui/PageLink';
import { ValueWithSource } from '../../ui/ValueWithSource';

/** How many workspaces do what, and what that costs. */
export function Summary({ list }: { readonly list: readonly Instance[] }) {
  const now = useNow();
  const operator = useOperator();
  const { data: costs, error } = useQuery({ ...queries.costs, enabled: operator });
  const count = (...states: readonly Instance['state'][]) =>
    list.filter((it) => states.includes(it.state)).length;
  const link = (number: number, filter: string) => (
    <PageLink href={`/workspaces?${filter}`}>{number}</PageLink>
  );
  const amount = (label: string, value: string, source: string) => (
    <ValueWithSource value={value} label={label} source={source} />
  );
  const rate = costs?.total_current_hourly;
  const unknown = error === null ? t.source.unknown(costs?.unknown ?? []) : error.message;
  return (
    <Container header={<Header variant="h2">{t.home.now}</Header>}>
      <KeyValuePairs
        columns={4}
        items={[
          {
            label: t.home.running,
            value: link(
              count('running', 'launching', 'starting', 'resuming'),
              t.home.runningFilter,
            ),
          },
          {
            label: t.home.asleep,
            value: link(
              count('hibernated', 'hibernating', 'stopped', 'stopping'),
              t.home.asleepFilter,
            ),
          },
          ...(!operator
            ? []
            : [
                {
                  label: t.home.rate,
                  value: amount(t.home.rate, hourly(rate), t.source.now(unknown)),
                },
                {
                  label: t.home.rest,
                  value: amount(
                    t.home.rest,
                    money(rate === undefined || rate === null ? null : rate * restOfMonth(now)),
                    t.source.rest(unknown),
                  ),
                },
              ]),
        ]}
      />
    </Container>
  );
}
