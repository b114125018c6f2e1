import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';

import type { Schemas } from '../../api/client';
import { day, duration, hourly, money } from '../../lib/format';
import { isLocal } from '../../lib/providers';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { ValueWithSource } from '../../ui/ValueWithSource';

/** What a launch would be and cost, before it is asked for. */
export function PlanPanel({
  query,
  order,
  hidden,
  footer,
}: {
  readonly query: UseQueryResult<Schemas['LaunchEstimate']>;
  readonly order: Schemas['LaunchRequest'];
  /** The form says what is wrong; nothing is repeated here. */
  readonly hidden: boolean;
  readonly footer: ReactNode;
}) {
  return (
    <Container header={<Header variant="h2">{t.plan.title}</Header>} footer={footer}>
      <div aria-live="polite">
        {hidden ? (
          <Box color="text-body-secondary">{t.plan.wrong}</Box>
        ) : (
          <Loaded query={query} what={t.plan.title}>
            {(plan) => <Planned plan={plan} hours={order.ttl_hours ?? null} />}
          </Loaded>
        )}
      </div>
    </Container>
  );
}

function Planned({
  plan,
  hours,
}: {
  readonly plan: Schemas['LaunchEstimate'];
  readonly hours: number | null;
}) {
  const source = t.source.rate(plan.price_source);
  const sourced = (label: string, value: string) => ({
    label,
    value: <ValueWithSource value={value} label={label} source={source} />,
  });
  const ready = plan.ready_seconds;
  const items = [
    { label: t.plan.where, value: t.plan.place(isLocal(plan), plan.profile, plan.region) },
    sourced(t.plan.hour, hourly(plan.hourly)),
    hours === null || plan.hourly === null
      ? sourced(t.plan.day, money(plan.daily))
      : sourced(t.plan.until(hours), money(plan.hourly * hours)),
    sourced(t.plan.month, money(monthTotal(plan))),
    { label: t.plan.disk, value: money(plan.disk_monthly) },
    ...(plan.address_monthly === null
      ? []
      : [{ label: t.plan.address, value: money(plan.address_monthly) }]),
    {
      label: t.plan.ready,
      value: (
        <ValueWithSource
          value={duration(ready)}
          label={t.plan.ready}
          source={plan.ready_measured ? t.source.readyMeasured : t.source.readyAssumed}
        />
      ),
    },
    ...(plan.leaves === null
      ? []
      : [
          {
            label: t.plan.leaves(plan.budget),
            value: (
              <ValueWithSource
                value={money(plan.leaves)}
                label={t.plan.leaves(plan.budget)}
                source={t.source.leaves(money(plan.reserves))}
              />
            ),
          },
        ]),
    ...(plan.lasts_until === null ? [] : [{ label: t.plan.lasts, value: day(plan.lasts_until) }]),
    { label: t.fields.type, value: plan.machine },
  ];
  return (
    <SpaceBetween size="m">
      <KeyValuePairs columns={2} items={items} />
      {plan.notes.length > 0 && (
        <div>
          <Box variant="awsui-key-label">{t.plan.notes}</Box>
          <ul>
            {plan.notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </div>
      )}
    </SpaceBetween>
  );
}

/** A month that it never sleeps, with its disk and its address; null while a price is unknown. */
function monthTotal(plan: Schemas['LaunchEstimate']): number | null {
  if (plan.monthly === null || plan.disk_monthly === null) return null;
  return plan.monthly + plan.disk_monthly + (plan.address_monthly ?? 0);
}
