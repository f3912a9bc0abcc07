import { useEffect } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { Failed, Skeleton } from "../../components/States";
import { kindOf } from "../../list/select";
import { useFeatureList } from "../../list/useList";
import { featurePath } from "../../paths";

/** Leads to a random feature of the list that the address names; without filters to a regular one. */
export function RandomPage() {
  const { name = "" } = useParams();
  const { list, error } = useFeatureList(name);
  const [parameters] = useSearchParams();
  const navigate = useNavigate();
  useEffect(() => {
    if (!list) return;
    const { columns, selection } = list;
    const regular = selection.rows.filter((row) => kindOf(columns, row) === "regular");
    const rows = selection.chips.length > 0 || regular.length === 0 ? selection.rows : regular;
    const row = rows[Math.floor(Math.random() * rows.length)] ?? 0;
    const to = { pathname: featurePath(name, columns.first + row), search: parameters.toString() };
    void navigate(to, { replace: true });
  }, [list, name, navigate, parameters]);
  return <div className="wrap">{error ? <Failed what="No feature:" error={error} /> : <Skeleton rows={6} />}</div>;
}
