import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQueries, useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { AsCommand } from '../../ui/AsCommand';
import { Loaded } from '../../ui/Loaded';
import { MoneyFlow } from '../money/MoneyFlow';
import { MyInvitations } from '../people/MyInvitations';
import { PoolTable } from '../money/PoolTable';
import { ProjectTable } from './ProjectTable';
import { moneyOf } from '../../lib/equivalents';
import { useOperator } from '../../lib/me';
import { t } from '../../strings';

/** Who works together, and what pays for it. */
export default function Projects() {
  const operator = useOperator();
  const projects = useQuery(queries.projects);
  const pools = useQuery({ ...queries.budgets, enabled: operator });
  const perPool = useQueries({
    queries: (pools.data?.budgets ?? []).map((it) => queries.allocations(it.id)),
  });
  const allocations = perPool.flatMap((it) => it.data?.allocations ?? []);
  const unread = perPool.find((it) => it.error !== null && it.data === undefined);
  const named = new Map(pools.data?.budgets.map((it) => [it.id, it.name]));
  const flows = allocations.map((it) => ({
    pool: named.get(it.budget_id) ?? it.budget_id,
    project: it.project_name,
    amount: it.allocated_amount,
  }));
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description={t.money.what}
          actions={<AsCommand equivalents={moneyOf()} />}
        >
          {t.pages.projects}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <MyInvitations />
        <Loaded query={projects} what={t.pages.projects}>
          {(list) => <ProjectTable projects={list} />}
        </Loaded>
        {unread !== undefined && (
          <Loaded query={unread} what={t.money.allocations}>
            {() => null}
          </Loaded>
        )}
        {flows.length > 0 && (
          <Container header={<Header variant="h2">{t.money.flows}</Header>}>
            <MoneyFlow flows={flows} />
          </Container>
        )}
        {operator && (
          <Loaded query={pools} what={t.money.pools}>
            {({ budgets }) => (
              <PoolTable pools={budgets} allocations={allocations} projects={projects.data ?? []} />
            )}
          </Loaded>
        )}
      </SpaceBetween>
    </ContentLayout>
  );
}
