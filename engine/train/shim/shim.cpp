// What tch does not reach of libtorch. Every entry catches: an exception through Rust would abort.
#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <cstring>
#include <string>
#include <vector>

namespace {
thread_local std::string message;

template <class F> int guarded(F f) {
  try {
    f();
    return 0;
  } catch (const c10::Error &e) {
    message = e.what_without_backtrace();
  } catch (const std::exception &e) {
    message = e.what();
  } catch (...) {
    message = "an unknown exception";
  }
  return 1;
}

std::vector<at::Tensor> list(at::Tensor *const *tensors, size_t n) {
  std::vector<at::Tensor> out;
  out.reserve(n);
  for (size_t i = 0; i < n; i++) out.push_back(*tensors[i]);
  return out;
}
}  // namespace

extern "C" {

const char *dv_message() { return message.c_str(); }

// The instructions that kernels on the CPU are chosen for: DEFAULT, AVX2, AVX512.
int dv_cpu_capability() {
  return guarded([] { message = at::get_cpu_capability(); });
}

// torch.optim.SGD over the fused kernel; parameters must not require gradients here (pass detached ones).
int dv_fused_sgd(at::Tensor *const *parameters, at::Tensor *const *gradients, at::Tensor *const *buffers, size_t n, double lr,
                 double momentum, double weight_decay, int nesterov, int first) {
  return guarded([&] {
    auto p = list(parameters, n), g = list(gradients, n), b = list(buffers, n);
    // the kernel takes no buffers where there is no momentum
    if (momentum == 0.0) b.clear();
    at::_fused_sgd_(p, g, b, weight_decay, momentum, lr, /*dampening=*/0.0, nesterov != 0, /*maximize=*/false, first != 0);
  });
}

// torch.optim.Adam, or AdamW where `decoupled`, over the fused kernels. `steps` are float32 and 0-d, on the parameters' device, and go up by one.
int dv_fused_adam(at::Tensor *const *parameters, at::Tensor *const *gradients, at::Tensor *const *means, at::Tensor *const *squares,
                  at::Tensor *const *steps, size_t n, double lr, double beta_1, double beta_2, double epsilon, double weight_decay,
                  int decoupled) {
  return guarded([&] {
    auto p = list(parameters, n), g = list(gradients, n), m = list(means, n), v = list(squares, n), t = list(steps, n);
    std::vector<at::Tensor> none;
    for (auto &step : t) step.add_(1);
    if (decoupled)
      at::_fused_adamw_(p, g, m, v, none, t, lr, beta_1, beta_2, weight_decay, epsilon, /*amsgrad=*/false, /*maximize=*/false);
    else
      at::_fused_adam_(p, g, m, v, none, t, lr, beta_1, beta_2, weight_decay, epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}

// A tensor of memory that is another's, of torch's number `kind`: `release(owner)` is called when nothing reads it any more.
int dv_tensor_over(void *data, const int64_t *sizes, size_t n, int kind, void *owner, void (*release)(void *), at::Tensor **out) {
  return guarded([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(kind));
    *out = new at::Tensor(at::for_blob(data, at::IntArrayRef(sizes, n)).context(owner, release).options(options).make_tensor());
  });
}

// Gradients become undefined, as `zero_grad(set_to_none=True)` leaves them.
int dv_clear_gradients(at::Tensor *const *parameters, size_t n) {
  return guarded([&] {
    for (size_t i = 0; i < n; i++) parameters[i]->mutable_grad() = at::Tensor();
  });
}

// Autocast to bfloat16 on the CPU or CUDA; leaving clears the cache of cast weights.
int dv_autocast_enter(int cuda) {
  return guarded([&] {
    auto device = cuda ? at::kCUDA : at::kCPU;
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::increment_nesting();
  });
}
int dv_autocast_leave(int cuda) {
  return guarded([&] {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(cuda ? at::kCUDA : at::kCPU, false);
  });
}
}
