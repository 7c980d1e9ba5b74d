//! Deliveries: what webhooks brought, newest first, and what became of each.

use crate::guard::Viewer;
use crate::problem::Problem;
use crate::runs::{MAX_PAGE, Wish};
use crate::state::ApiState;
use crate::views::{DeliveriesView, DeliveryState, DeliveryView};
use axum::Json;
use axum::extract::{Query, State};

/// Lists deliveries; `only=waiting` leaves those out that have ended.
pub(crate) async fn deliveries(
    State(state): State<ApiState>,
    _: Viewer,
    Query(wish): Query<Wish>,
) -> Result<Json<DeliveriesView>, Problem> {
    let words = wish.words();
    let (board, only) = (&*state.board, wish.only.as_deref());
    let listed = state.index.read(&state.journal, board, |index| {
        let all = index.all(board).filter(|view| matches(view, &words) && only.is_none_or(|only| is(view.state, only)));
        let waiting = index.waiting(board).len();
        (all.collect::<Vec<_>>(), waiting)
    });
    let (all, waiting) = listed.await.map_err(|error| Problem::journal("listing the deliveries", error))?;
    let (total, limit) = (all.len(), wish.limit.unwrap_or(50).min(MAX_PAGE));
    let deliveries = all.into_iter().skip(wish.skip).take(limit).collect();
    Ok(Json(DeliveriesView { deliveries, total, waiting }))
}

fn is(state: DeliveryState, word: &str) -> bool {
    serde_json::to_value(state).is_ok_and(|state| state == word)
}

fn matches(view: &DeliveryView, words: &[String]) -> bool {
    let parts = [&view.stream, &view.repository, &view.reference, &view.sha, &view.sender, &view.message];
    let text = parts.map(|text| text.to_lowercase()).join("\n");
    words.iter().all(|word| text.contains(word))
}
