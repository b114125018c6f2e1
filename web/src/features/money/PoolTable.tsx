import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { money } from '../../lib/format';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { CapBar } from './CapBar';
import { Confirm } from '../../ui/Confirm';
import { endOfDay } from './money';
import { ListTable, nameColumn } from '../../ui/ListTable';

type Pool = Schemas['PoolShown'];
type Allocation = Schemas['AllocationShown'];
const PERIODS = ['project', 'yearly', 'monthly', 'weekly', 'daily'] as const;

const pathOf = (pool: Pool) => `/api/v1/budgets/${encodeURIComponent(pool.id)}`;

/** Pools of money, and what projects have of them. */
export function PoolTable({
  pools,
  allocations,
  projects,
}: {
  readonly pools: readonly Pool[];
  readonly allocations: readonly Allocation[];
  readonly projects: readonly Schemas['ProjectShown'][];
}) {
  const { data: status } = useQuery(queries.status);
  const user = status?.user ?? '';
  const poolOf = (it: Allocation) => pools.find((other) => other.id === it.budget_id)?.name ?? '';
  const create = (
    <DialogButton
      text={t.money.newPool}
      button={t.money.create}
      fields={[
        { id: 'name', label: t.fields.name },
        { id: 'total', label: t.money.total, kind: 'number' },
        {
          id: 'period',
          label: t.money.period,
          value: 'project',
          options: PERIODS.map((value) => ({ value, label: t.money.periods[value] })),
        },
        { id: 'last', label: t.money.lastDay, what: t.money.lastDayWhat, optional: true },
      ]}
      act={({ name = '', total, period, last = '' }) =>
        actions.createPool({
          name,
          total_amount: Number(total),
          period: PERIODS.find((it) => it === period) ?? 'project',
          created_by: user,
          end_date: last === '' ? null : endOfDay(last),
        })
      }
    />
  );
  return (
    <SpaceBetween size="l">
      <ListTable<Pool>
        title={t.money.pools}
        what={t.money.poolsWhat}
        items={pools}
        by="id"
        empty={t.money.noPools}
        actions={create}
        columns={[
          nameColumn(),
          {
            id: 'money',
            header: t.money.money,
            minWidth: 220,
            cell: (it) => (
              <CapBar
                label={it.name}
                amount={it.total_amount}
                settled={it.spent}
                reserved={it.reserved}
                left={it.left}
              />
            ),
          },
          {
            id: 'allocated',
            header: t.money.allocated,
            cell: (it) => money(it.allocated_amount),
          },
          { id: 'period', header: t.money.period, cell: (it) => t.money.periods[it.period] },
          {
            id: 'statement',
            header: t.money.statement,
            cell: (it) => (
              <SpaceBetween direction="horizontal" size="s">
                <Link
                  href={`${pathOf(it)}/statement?format=html`}
                  ariaLabel={t.money.statementOf(it.name)}
                  external
                >
                  {t.money.report}
                </Link>
                <Link
                  href={`${pathOf(it)}/statement?format=csv`}
                  ariaLabel={t.money.statementTableOf(it.name)}
                  external
                >
                  {t.money.reportTable}
                </Link>
              </SpaceBetween>
            ),
          },
          {
            id: 'actions',
            header: t.workspaces.actions,
            minWidth: 270,
            cell: (it) => (
              <SpaceBetween direction="horizontal" size="xs">
                <DialogButton
                  text={t.money.allocate}
                  label={t.money.allocateOf(it.name)}
                  button={t.money.allocate}
                  disabled={projects.length === 0}
                  fields={[
                    {
                      id: 'project',
                      label: t.fields.project,
                      options: projects.map((other) => ({ value: other.id, label: other.name })),
                    },
                    { id: 'amount', label: t.money.amount, kind: 'number' },
                  ]}
                  act={({ project = '', amount }) =>
                    actions.allocate({
                      budget_id: it.id,
                      project_id: project,
                      allocated_amount: Number(amount),
                      allocated_by: user,
                    })
                  }
                />
                <DialogButton
                  text={t.money.change}
                  label={t.money.changeOf(it.name)}
                  button={t.save}
                  fields={[
                    {
                      id: 'total',
                      label: t.money.total,
                      kind: 'number',
                      value: String(it.total_amount),
                    },
                    {
                      id: 'alert',
                      label: t.money.alertAt,
                      kind: 'number',
                      value: String(Math.round(100 * it.alert_threshold)),
                    },
                  ]}
                  act={({ total, alert }) =>
                    actions.changePool(it.id, {
                      total_amount: Number(total),
                      alert_threshold: Number(alert) / 100,
                    })
                  }
                />
                <Confirm
                  text={t.files.remove}
                  label={t.money.removeOf(it.name)}
                  word={it.name}
                  warning={t.money.removePool}
                  act={() => actions.removePool(it.id)}
                />
              </SpaceBetween>
            ),
          },
        ]}
      />
      {allocations.length > 0 && (
        <ListTable<Allocation>
          title={t.money.allocations}
          items={allocations}
          by="id"
          columns={[
            { id: 'pool', header: t.money.pool, minWidth: 130, cell: poolOf },
            {
              id: 'project',
              header: t.fields.project,
              minWidth: 150,
              isRowHeader: true,
              cell: (it) => it.project_name,
            },
            {
              id: 'money',
              header: t.money.money,
              minWidth: 220,
              cell: (it) => (
                <CapBar
                  label={`${poolOf(it)}, ${it.project_name}`}
                  amount={it.allocated_amount}
                  settled={it.spent}
                  reserved={it.reserved}
                  left={it.left}
                />
              ),
            },
            {
              id: 'actions',
              header: t.workspaces.actions,
              minWidth: 270,
              cell: (it) => {
                const others = allocations.filter(
                  (other) => other.budget_id === it.budget_id && other.id !== it.id,
                );
                const title = `${poolOf(it)} → ${it.project_name}`;
                return (
                  <SpaceBetween direction="horizontal" size="xs">
                    <DialogButton
                      text={t.money.reallocate}
                      label={t.money.reallocateOf(it.project_name)}
                      button={t.money.reallocate}
                      disabled={others.length === 0}
                      fields={[
                        {
                          id: 'to',
                          label: t.fields.project,
                          options: others.map((other) => ({
                            value: other.id,
                            label: other.project_name,
                          })),
                        },
                        { id: 'amount', label: t.money.amount, kind: 'number' },
                        { id: 'reason', label: t.money.reason, optional: true },
                      ]}
                      act={({ to = '', amount, reason = '' }) =>
                        actions.reallocate({
                          source_allocation_id: it.id,
                          destination_allocation_id: to,
                          amount: Number(amount),
                          reason,
                        })
                      }
                    />
                    <DialogButton
                      text={t.money.change}
                      label={t.money.changeOf(title)}
                      button={t.save}
                      fields={[
                        {
                          id: 'amount',
                          label: t.money.amount,
                          kind: 'number',
                          value: String(it.allocated_amount),
                        },
                      ]}
                      act={({ amount }) => actions.changeAllocation(it.id, Number(amount))}
                    />
                    <Confirm
                      text={t.files.remove}
                      label={t.money.removeOf(title)}
                      word={it.project_name}
                      warning={t.money.removeAllocation}
                      act={() => actions.removeAllocation(it.id)}
                    />
                  </SpaceBetween>
                );
              },
            },
          ]}
        />
      )}
    </SpaceBetween>
  );
}
