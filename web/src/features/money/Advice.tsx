import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Box from '@cloudscape-design/components/box';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { money } from '../../lib/format';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { PageLink } from '../../ui/PageLink';

/** How a project can spend less, by what was measured. */
export function Advice({ project }: { readonly project: string }) {
  const query = useQuery(queries.analysis(project));
  return (
    <Container
      header={
        <Header variant="h2" description={t.analysis.what}>
          {t.analysis.title}
        </Header>
      }
    >
      <Loaded query={query} what={t.analysis.title}>
        {(it) => (
          <SpaceBetween size="l">
            <KeyValuePairs
              columns={3}
              items={[
                { label: t.analysis.lately, value: money(it.current_monthly_burn) },
                { label: t.analysis.now, value: money(it.projected_monthly_burn) },
                { label: t.analysis.sleep, value: money(it.hibernation_potential_savings) },
              ]}
            />
            <AdviceTable advice={it.optimization_recommendations} />
          </SpaceBetween>
        )}
      </Loaded>
    </Container>
  );
}

function AdviceTable({ advice }: { readonly advice: readonly Schemas['CostRecommendation'][] }) {
  return (
    <Table<Schemas['CostRecommendation']>
      variant="embedded"
      wrapLines
      items={advice}
      ariaLabels={{ tableLabel: t.analysis.title }}
      empty={<Box color="text-body-secondary">{t.analysis.none}</Box>}
      columnDefinitions={[
        {
          id: 'workspace',
          header: t.fields.name,
          isRowHeader: true,
          minWidth: 120,
          cell: (it) => <PageLink href={`/workspaces/${it.instance}`}>{it.instance}</PageLink>,
        },
        {
          id: 'advice',
          header: t.analysis.advice,
          minWidth: 200,
          cell: (it) => it.recommendation,
        },
        { id: 'saves', header: t.analysis.saves, cell: (it) => money(it.potential_savings) },
      ]}
    />
  );
}
